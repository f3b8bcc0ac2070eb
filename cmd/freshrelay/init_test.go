package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

const initKey = "key-of-the-account-0123456789"

// newcomer is a machine without anything, and an account.
func newcomer(t *testing.T) (p *program, out, errOut *bytes.Buffer, account string) {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{initKey}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = box.Close() })
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	return &program{
		dir: t.TempDir(), environ: []string{}, http: newHTTPClient(), stdin: strings.NewReader(""), stdout: out, stderr: errOut,
	}, out, errOut, server.URL
}

func TestInitByFlags(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(p *program) []string{
		"standard input": func(p *program) []string {
			p.stdin = strings.NewReader(initKey + "\n")
			return []string{"--api-key-file", "-"}
		},
		"a file": func(p *program) []string {
			writeFile(t, filepath.Join(p.dir, "key"), initKey+"\n")
			return []string{"--api-key-file", "key"}
		},
		"the environment": func(p *program) []string {
			p.environ = []string{"FRESHRELAY_FRESHMARKETER_API_KEY=" + initKey}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, out, errOut, account := newcomer(t)
			args := append([]string{"init", "--domain", "acme", "--base-url", account, "--public-url", "https://relay.example.com/"}, give(p)...)
			if code := p.run(t.Context(), args); code != exitOK {
				t.Fatalf("exit %d: %s", code, errOut)
			}
			secret, err := os.ReadFile(filepath.Join(p.dir, "secrets", "website_webhook_secret"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"https://relay.example.com/webhook/website\n", strings.TrimSpace(string(secret)), "observe", "freshrelay serve"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("nothing is said of %q in:\n%s", want, out)
				}
			}
			if strings.Contains(out.String()+errOut.String(), initKey) {
				t.Error("the API key is shown")
			}
			if _, err := config.Load(config.Options{Dir: p.dir, Environ: []string{}}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInitNamesTheFlagThatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no account":   {[]string{"init"}, "--domain"},
		"no key":       {[]string{"init", "--domain", "acme"}, "--api-key-file"},
		"no such file": {[]string{"init", "--domain", "acme", "--api-key-file", "nowhere"}, "--api-key-file"},
		"empty input":  {[]string{"init", "--domain", "acme", "--api-key-file", "-"}, "write the key into it"},
		"https":        {[]string{"init", "--domain", "acme", "--https", "magic"}, "--https must be one of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _, errOut, _ := newcomer(t)
			if code := p.run(t.Context(), tc.args); code != exitUsage || !strings.Contains(errOut.String(), tc.want) {
				t.Errorf("exit %d, want %d with %q: %s", code, exitUsage, tc.want, errOut)
			}
		})
	}
}
