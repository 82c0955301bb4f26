package permissions

import "github.com/victor-ai/victorgen/compiler/plan"

// secretManagerRoles are the narrowest of Google's own roles
// (https://cloud.google.com/secret-manager/docs/access-control):
// with secretmanager.versions.access, .get and .add.
var secretManagerRoles = map[Use]string{
	Read:  "roles/secretmanager.secretAccessor",
	Prove: "roles/secretmanager.viewer",
	Write: "roles/secretmanager.secretVersionAdder",
	Fetch: "roles/secretmanager.secretAccessor",
}

var secretManagerNotes = map[Use]string{
	Read: " With the role to prove, the age of values is known as well.",
	Write: " Creating secrets is a right on the whole project, so let an administrator create those that are missing, without versions: " +
		"gcloud secrets create NAME",
}

// secretManager binds a role for each secret, not for the project.
func secretManager(s plan.Source, use Use, names []string) Policy {
	project := `"$GOOGLE_CLOUD_PROJECT"`
	if s.Project != "" {
		project = quote(s.Project)
	}
	location, created, parent := "", " --replication-policy=automatic", "projects/$NUMBER/secrets/"
	if s.Location != "" {
		location = " --location=" + quote(s.Location)
		created, parent = location, "projects/$NUMBER/locations/"+s.Location+"/secrets/"
	}
	if use == Push {
		// To create is a right on the project, and a secret that is there without a value is not the operator's.
		p := Policy{
			Note: "Set MEMBER to the principal that gets the roles. Creating is a right on the whole project; everything else is for these secrets only. The operator checks whether they have a version: up to v0.19 by reading it, later by listing the versions. Without that right a secret is created and stays empty.",
			Commands: []string{
				"NUMBER=$(gcloud projects describe " + project + " --format='value(projectNumber)')",
				"gcloud iam roles create secretCreator --project=" + project + " --permissions=secretmanager.secrets.create",
				"gcloud iam roles create secretPusher --project=" + project +
					" --permissions=secretmanager.secrets.get,secretmanager.secrets.update,secretmanager.versions.access,secretmanager.versions.add,secretmanager.versions.list",
				"gcloud projects add-iam-policy-binding " + project + ` --member="$MEMBER" --role=projects/` + project + "/roles/secretCreator --condition=None",
			},
		}
		for _, secret := range names { // https://cloud.google.com/iam/docs/conditions-resource-attributes#resource-name
			name := parent + secret
			p.Commands = append(p.Commands, "gcloud projects add-iam-policy-binding "+project+` --member="$MEMBER" --role=projects/`+project+
				`/roles/secretPusher --condition="title=`+secret+`,expression=resource.name == '`+name+`' || resource.name.startsWith('`+name+`/')"`)
		}
		return p
	}
	p := Policy{Note: "Set MEMBER to the principal that gets the role, as in serviceAccount:ci@PROJECT.iam.gserviceaccount.com." + secretManagerNotes[use]}
	if use == Write {
		p.Note += created + "."
	}
	for _, secret := range names {
		p.Commands = append(p.Commands,
			"gcloud secrets add-iam-policy-binding "+secret+" --project="+project+location+` --member="$MEMBER" --role=`+secretManagerRoles[use])
	}
	return p
}
