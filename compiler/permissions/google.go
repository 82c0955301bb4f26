package permissions

import "github.com/victor-ai/victorgen/compiler/plan"

// secretManagerRoles are the narrowest of Google's own roles
// (https://cloud.google.com/secret-manager/docs/access-control):
// with secretmanager.versions.access, .get and .add.
var secretManagerRoles = map[Use]string{
	Read:  "roles/secretmanager.secretAccessor",
	Prove: "roles/secretmanager.viewer",
	Write: "roles/secretmanager.secretVersionAdder",
}

var secretManagerNotes = map[Use]string{
	Read: " With the role to prove, the age of values can be told as well.",
	Write: " To create secrets is a right on the whole project, so let an administrator create those that are missing, without versions: " +
		"gcloud secrets create NAME --replication-policy=automatic.",
}

// secretManager binds a role for each secret, not for the project.
func secretManager(s plan.Source, use Use, names []string) Policy {
	project := `"$GOOGLE_CLOUD_PROJECT"`
	if s.Project != "" {
		project = quote(s.Project)
	}
	p := Policy{Note: "Set MEMBER to who gets the role, as in serviceAccount:ci@PROJECT.iam.gserviceaccount.com." + secretManagerNotes[use]}
	for _, secret := range names {
		p.Commands = append(p.Commands,
			"gcloud secrets add-iam-policy-binding "+secret+" --project="+project+` --member="$MEMBER" --role=`+secretManagerRoles[use])
	}
	return p
}
