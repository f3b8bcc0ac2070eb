package app

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

//go:embed setup.yaml.tmpl
var setupText string

// setupTemplate is the text of the configuration, to be filled in.
func setupTemplate() *template.Template {
	return template.Must(template.New(config.FileName).Funcs(template.FuncMap{"quote": quoteYAML, "line": oneLine}).Parse(setupText))
}

// setupFiles is everything the template needs, and where it goes.
type setupFiles struct {
	SetupAnswers

	file                                        string // the configuration
	Day, DataDir                                string
	ListenNote, PerHourNote                     string
	ACMEDomain                                  string
	TrustedProxy                                bool
	APIKeyFile, WebhookSecretFile, WriteKeyFile string
	WebhookSecret, WriteKey                     config.Secret
	Custom                                      []string
}

// files works out from the answers what is written where.
func (a SetupAnswers) files() (setupFiles, error) {
	if filepath.Base(a.Source) != a.Source { // its secrets' files are named by it
		return setupFiles{}, &SetupError{fmt.Sprintf("%q is no name for a source", a.Source), "use letters, digits, '.', '_' and '-': --source website"}
	}
	dir, err := filepath.Abs(a.Dir)
	if err != nil {
		return setupFiles{}, fmt.Errorf("finding the directory: %w", err)
	}
	f := setupFiles{SetupAnswers: a, Day: time.Now().Format(time.DateOnly)}
	f.place(dir)
	switch a.HTTPS {
	case HTTPSProxy:
		f.TrustedProxy = a.PublicURL != ""
		f.defaultListen("127.0.0.1:8080", "  # the proxy passes calls on to here")
	case HTTPSACME:
		public, err := url.Parse(a.PublicURL)
		if err != nil || public.Hostname() == "" {
			return f, &SetupError{"a certificate is ordered for a name, and there is no public address", "give it: --public-url https://relay.example.com"}
		}
		f.ACMEDomain = public.Hostname()
		f.defaultListen(":443", "  # the CA and Segment call port 443")
	case HTTPSFiles:
		if a.CertFile == "" || a.KeyFile == "" {
			return f, &SetupError{"a certificate of your own is two files", "give both: --cert-file and --key-file"}
		}
		for _, path := range []*string{&f.CertFile, &f.KeyFile} {
			if *path, err = filepath.Abs(*path); err != nil {
				return f, fmt.Errorf("finding a certificate file: %w", err)
			}
		}
		f.defaultListen(":443", "  # Segment calls port 443")
	default:
		return f, &SetupError{fmt.Sprintf("%q is no way to HTTPS", a.HTTPS), "choose proxy, acme or files"}
	}
	return f, nil
}

func (f *setupFiles) place(dir string) {
	secret := func(name string) string { return filepath.Join(dir, "secrets", name) }
	f.file, f.DataDir = filepath.Join(dir, config.FileName), filepath.Join(dir, "data")
	f.APIKeyFile, f.WebhookSecretFile, f.WriteKeyFile = secret("freshmarketer_api_key"), secret(f.Source+"_webhook_secret"), secret(f.Source+"_write_key")
}

func (f *setupFiles) defaultListen(listen, note string) {
	if f.Listen == "" {
		f.Listen, f.ListenNote = listen, note
	}
}

// try loads the configuration as it would be, from a directory that goes away, so that its problems are said in its own words.
func (f *setupFiles) try() error {
	dir, err := os.MkdirTemp("", "freshrelay-init-*")
	if err != nil {
		return fmt.Errorf("making a directory to try the configuration in: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left of it holds nothing that lasts
	trial := *f
	trial.place(dir)
	if trial.PerHour == 0 {
		trial.PerHour = smallestPlan
	}
	if _, err := trial.write(); err != nil {
		return err
	}
	_, err = config.Load(config.Options{Path: trial.file, Dir: dir, Environ: []string{}})
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		wrong.File = "what was answered"
		return wrong
	}
	return err
}

// write makes the files: secrets first and the configuration last, so that one that is there is complete. A secret that is there
// already is kept: Segment may have it.
func (f *setupFiles) write() ([]string, error) {
	secrets := []struct {
		path  string
		value config.Secret
	}{{f.APIKeyFile, f.APIKey}, {f.WebhookSecretFile, f.WebhookSecret}, {f.WriteKeyFile, f.WriteKey}}
	var paths []string
	if err := os.MkdirAll(filepath.Dir(f.APIKeyFile), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of secrets: %w", err)
	}
	for _, s := range secrets {
		if err := writeNew(s.path, []byte(string(s.value)+"\n"), s.path == f.APIKeyFile); err != nil {
			return nil, fmt.Errorf("writing a secret: %w", err)
		}
		paths = append(paths, s.path)
	}
	if _, err := admin.EnsureToken(admin.TokenPath(f.DataDir, "")); err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := setupTemplate().Execute(&text, f); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	if err := writeNew(f.file, []byte(text.String()), false); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return append(paths, admin.TokenPath(f.DataDir, "")), nil
}

// webhookSecret is what the file holds: perhaps one from before.
func (f *setupFiles) webhookSecret() (string, error) {
	b, err := os.ReadFile(f.WebhookSecretFile)
	if err != nil {
		return "", fmt.Errorf("reading the webhook secret: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// writeNew lets a file that only its owner can read appear with its content. One that is there is replaced, or left with what it
// holds. Where a link leads is for whoever made it to guard.
func writeNew(path string, data []byte, replace bool) error {
	if info, err := os.Lstat(path); err == nil && !replace {
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return os.Chmod(path, 0o600)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// oneLine makes one line of a text for a comment: a label of the account must not become a part of the configuration.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// quoteYAML writes a text as YAML would: bare where it may be.
func quoteYAML(s string) (string, error) {
	b, err := yaml.Marshal(s)
	return strings.TrimSpace(string(b)), err
}
