// Vault serves HashiCorp Vault from memory, unsealed, with KV engines, at the
// address that it is called with. VAULT_DEV_ROOT_TOKEN_ID is the root token, as
// it is of `vault server -dev`. That program itself would bring along the other
// engines, which no one asks here. Of the versions under the MPL, those after
// 1.14.1 need the replacements in Vault's own go.mod.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if len(os.Args) != 2 || os.Getenv("VAULT_DEV_ROOT_TOKEN_ID") == "" {
		log.Fatal("usage: VAULT_DEV_ROOT_TOKEN_ID=TOKEN vault HOST:PORT")
	}
	core, err := unsealed(os.Getenv("VAULT_DEV_ROOT_TOKEN_ID"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core})))
}

// unsealed returns a Vault that has no secrets yet.
func unsealed(token string) (*vault.Core, error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Warn})
	memory, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: memory, Logger: logger, DisableMlock: true, BuiltinRegistry: none{},
		LogicalBackends: map[string]logical.Factory{"kv": kv.Factory},
	})
	if err != nil {
		return nil, err
	}
	ctx := namespace.RootContext(context.Background())
	init, err := core.Initialize(ctx, &vault.InitParams{
		BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
	})
	if err != nil {
		return nil, err
	}
	if ok, err := core.Unseal(init.SecretShares[0]); err != nil || !ok {
		return nil, errors.Join(err, errors.New("it is still sealed"))
	}
	_, err = core.HandleRequest(ctx, &logical.Request{
		Operation: logical.UpdateOperation, ClientToken: init.RootToken, Path: "auth/token/create",
		Data: map[string]any{"id": token, "policies": []string{"root"}, "no_parent": true},
	})
	return core, err
}

// none has no plugins: the engines are those of the configuration.
type none struct{}

func (none) Contains(string, consts.PluginType) bool                   { return false }
func (none) Get(string, consts.PluginType) (func() (any, error), bool) { return nil, false }
func (none) Keys(consts.PluginType) []string                           { return nil }
func (none) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Unknown, false
}
func (none) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
