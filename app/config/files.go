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
	readOne("freshmarketer.api_key", &cfg.Freshmarketer.APIKey, cfg.Freshmarketer.APIKeyFile, p)
	readOne("nats.encryption_key", &cfg.NATS.EncryptionKey, cfg.NATS.EncryptionKeyFile, p)
	readOne("nats.encryption_old_key", &cfg.NATS.EncryptionOldKey, cfg.NATS.EncryptionOldKeyFile, p)
	readSourceFiles(cfg, p)
}

// ReadSourceFiles completes a configuration of LoadAdmin for somebody who sends as one of its sources: it reads their
// keys and secrets from the files that hold them, and nothing else.
func (c *Config) ReadSourceFiles() error {
	p := &problems{from: map[string]string{}}
	readSourceFiles(c, p)
	return p.err(c.File)
}

func readSourceFiles(cfg *Config, p *problems) {
	for i := range cfg.Sources {
		s, at := &cfg.Sources[i], sourceAt(i)
		if s.WriteKeysFile != "" {
			s.WriteKeys = append(s.WriteKeys, readLines(at+".write_keys_file", s.WriteKeysFile, p)...)
		}
		if s.WebhookSecretsFile != "" {
			s.WebhookSecrets = append(s.WebhookSecrets, readLines(at+".webhook_secrets_file", s.WebhookSecretsFile, p)...)
		}
		readOne(at+".batch_token", &s.BatchToken, s.BatchTokenFile, p)
	}
}

// readOne reads the file of a secret that is one line. key is that of the secret itself; the file's ends in _file.
func readOne(key string, secret *Secret, path string, p *problems) {
	switch {
	case path == "":
	case *secret != "":
		p.add(key+"_file", quoted(path), "is set together with "+key, "keep one of the two")
	default:
		lines := readLines(key+"_file", path, p)
		if len(lines) > 1 {
			p.add(key+"_file", quoted(path), "has more than one line", "leave the secret alone in it")
		} else if len(lines) == 1 {
			*secret = lines[0]
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
