package config

import (
	"io"
	"os"
	"strings"
)

// maxSecretFile is far above any key and far below a file that was named by mistake (bytes).
const maxSecretFile = 64 << 10

// readSecretFiles reads what the …_file keys name into the secrets they stand for.
func readSecretFiles(cfg *Config, p *problems) {
	f := &cfg.Freshmarketer
	switch {
	case f.APIKeyFile == "":
	case f.APIKey != "":
		p.add("freshmarketer.api_key_file", quoted(f.APIKeyFile), "is set together with freshmarketer.api_key",
			"keep one of the two")
	default:
		lines := readLines("freshmarketer.api_key_file", f.APIKeyFile, p)
		if len(lines) > 1 {
			p.add("freshmarketer.api_key_file", quoted(f.APIKeyFile), "has more than one line", "leave the key alone in it")
		} else if len(lines) == 1 {
			f.APIKey = lines[0]
		}
	}
	for i := range cfg.Sources {
		s, at := &cfg.Sources[i], sourceAt(i)
		if s.WriteKeysFile != "" {
			s.WriteKeys = append(s.WriteKeys, readLines(at+".write_keys_file", s.WriteKeysFile, p)...)
		}
		if s.WebhookSecretsFile != "" {
			s.WebhookSecrets = append(s.WebhookSecrets, readLines(at+".webhook_secrets_file", s.WebhookSecretsFile, p)...)
		}
	}
}

// readLines returns the lines of a secret file. Blank lines and lines that begin with # are none.
func readLines(key, path string, p *problems) []Secret {
	b, err := readSmall(path)
	if err != nil {
		p.add(key, quoted(path), "cannot be read: "+cause(err), "check the path and who may read it")
		return nil
	}
	if len(b) > maxSecretFile {
		p.add(key, quoted(path), "is too large for a secret", "name the file that holds the secret alone")
		return nil
	}
	var out []Secret
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, Secret(line))
		}
	}
	if len(out) == 0 {
		p.add(key, quoted(path), "is empty", "write the secret into it, one per line")
	}
	return out
}

// readSmall reads no more than is needed to see that a file is too large.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(f, maxSecretFile+1))
}
