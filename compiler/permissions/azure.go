package permissions

import (
	"net/url"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// keyVaultRoles are the narrowest of Azure's own roles
// (https://learn.microsoft.com/azure/key-vault/general/rbac-guide#azure-built-in-roles-for-key-vault-data-plane-operations):
// with secrets/get, with secrets/list, and with secrets/set, which has the
// former two as well.
var keyVaultRoles = map[Use]string{
	Read:  "Key Vault Secrets User",
	Prove: "Key Vault Reader",
	Write: "Key Vault Secrets Officer",
	Fetch: "Key Vault Secrets User",
	Push:  "Key Vault Secrets Officer",
}

// keyVault assigns a role for each secret, not for the vault.
func keyVault(s plan.Source, use Use, names []string) Policy {
	name := `"$AZURE_KEY_VAULT"`
	if s.Vault != "" {
		name = s.Vault
		if u, err := url.Parse(s.Vault); err == nil && u.Host != "" {
			name, _, _ = strings.Cut(u.Host, ".")
		}
		name = quote(name)
	}
	p := Policy{
		Commands: []string{`vault=$(az keyvault show --name ` + name + ` --query id --output tsv)`},
		Note:     "Set ASSIGNEE to the object ID of the principal that gets the role. The vault must use role-based access control, not access policies.",
	}
	cloud, _ := s.AzureCloud()
	if login := map[string]string{"ChinaCloud": "AzureChinaCloud", "USGovernmentCloud": "AzureUSGovernment"}[cloud]; login != "" {
		p.Note += " It is not in the public cloud: az cloud set --name " + login + ", then az login."
	}
	for _, secret := range names {
		p.Commands = append(p.Commands,
			`az role assignment create --assignee "$ASSIGNEE" --role "`+keyVaultRoles[use]+`" --scope "$vault/secrets/`+secret+`"`)
	}
	return p
}
