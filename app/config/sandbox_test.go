package config

import (
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestSandboxTakesItsKey(t *testing.T) {
	t.Parallel()
	if SandboxAPIKey != sandbox.DefaultAPIKey {
		t.Error("the sandbox would refuse its own key")
	}
}
