package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// FileName is looked for in the working directory when no file is named.
const FileName = "freshrelay.yaml"

// Options say where to read the configuration from.
type Options struct {
	Path    string   // --config; "" looks at FRESHRELAY_CONFIG, then for FileName in Dir
	Dir     string   // "" is the working directory
	Environ []string // nil is the process's own environment
	// Flags are values of the command line by key ("data_dir"); they win over everything.
	Flags map[string]string
	// Sandbox starts from SandboxDefaults instead of Defaults, reads a file only if one is named, and ignores data
	// directory and account of that file and of the environment's account: a trial must not touch what is real.
	Sandbox bool
}

// delimiter joins the parts of a key for koanf. It is not the usual dot, because trait paths have dots in them.
const delimiter = "\x00"

// Load reads and checks the configuration. The error is an *Error if the configuration is wrong.
func Load(o Options) (Config, error) {
	cfg, p, err := read(o)
	if err != nil {
		return Config{}, err
	}
	readSecretFiles(&cfg, p)
	validate(cfg, o.Sandbox, p)
	if cfg.File == "" && !o.Sandbox && len(p.list) > 0 {
		p.add("", "", "there is no "+FileName+" here", "make one with freshrelay init, name one with --config, or try: freshrelay serve --sandbox")
	}
	if err := p.err(cfg.File); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// LoadAdmin reads only what is needed to talk to a running service: DataDir and Admin. It reads no secret files and
// does not mind problems elsewhere, so that status works for somebody who may not read the API key.
func LoadAdmin(o Options) (Config, error) {
	cfg, p, err := read(o)
	if err != nil {
		return Config{}, err
	}
	validateAdmin(cfg, p)
	var own problems
	for _, q := range p.list {
		if q.Key == "data_dir" || strings.HasPrefix(q.Key, "admin") {
			own.list = append(own.list, q)
		}
	}
	if err := own.err(cfg.File); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// LoadMapping reads what decides how calls become contacts, and does not mind problems elsewhere: for work without the
// account. It reads no secret files.
func LoadMapping(o Options) (Config, error) {
	cfg, p, err := read(o)
	if err != nil {
		return Config{}, err
	}
	validate(cfg, o.Sandbox, p)
	var own problems
	for _, q := range p.list {
		if group, _, _ := strings.Cut(q.Key, "."); group == "mapping" || group == "identity" || group == "contacts" {
			own.list = append(own.list, q)
		}
	}
	if err := own.err(cfg.File); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// keepQuota drops all that is said of the account but its quota, which can be tried.
func keepQuota(layer map[string]any) {
	account, _ := layer["freshmarketer"].(map[string]any)
	delete(layer, "freshmarketer")
	if quota, ok := account["quota"]; ok {
		layer["freshmarketer"] = map[string]any{"quota": quota}
	}
}

// read merges the layers into a configuration that is not checked yet.
func read(o Options) (Config, *problems, error) {
	p := &problems{from: map[string]string{}}
	cfg := Defaults()
	if o.Sandbox {
		cfg = SandboxDefaults()
	}
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	file, path, err := readFile(o, environ)
	if err != nil {
		return Config{}, nil, err
	}
	cfg.File = path
	fromEnv, err := readEnv(environ, p)
	if err != nil {
		return Config{}, nil, err
	}
	if o.Sandbox {
		_, cfg.UnusedDataDir = file["data_dir"]
		delete(file, "data_dir")
		keepQuota(file)
		keepQuota(fromEnv)
	}
	dropRivals(file, fromEnv)
	k := koanf.New(delimiter)
	for _, l := range []layer{file, fromEnv, flagLayer(o.Flags, p)} {
		if err := k.Load(l, nil); err != nil {
			return Config{}, nil, fmt.Errorf("merge the configuration: %w", err)
		}
	}
	decode(k.Raw(), &cfg, p)
	return cfg, p, nil
}

// layer is a koanf provider for values that are already in memory.
type layer map[string]any

// Read implements koanf.Provider.
func (l layer) Read() (map[string]any, error) { return l, nil }

// ReadBytes implements koanf.Provider.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.New("a layer has no bytes") }

// readFile finds and parses the file. No file at all is not an error; one that was named and is missing is.
func readFile(o Options, environ []string) (layer, string, error) {
	path := o.Path
	if path == "" {
		path = lookup(environ, "FRESHRELAY_CONFIG")
	}
	named := path != ""
	if !named {
		if o.Sandbox {
			return layer{}, "", nil
		}
		path = filepath.Join(o.Dir, FileName)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return layer{}, "", nil
	}
	if err != nil {
		return nil, "", &Error{File: path, Problems: []Problem{{
			What: "cannot be read: " + cause(err), Mend: "check the path and its permissions, or name another with --config",
		}}}
	}
	m, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, "", &Error{File: path, Problems: []Problem{{
			What: "is not YAML as we need it: " + yamlCause(err),
			Mend: "check indentation and quotes there; at the top the file has lines like `listen: 127.0.0.1:8080`",
		}}}
	}
	numberSources(m)
	return m, path, nil
}

// numberSources turns the list of sources into a group with the numbers as keys: koanf replaces lists as a whole,
// and FRESHRELAY_SOURCES_0_WRITE_KEYS must change that one key.
func numberSources(m map[string]any) {
	list, ok := m["sources"].([]any)
	if !ok {
		return
	}
	byNumber := make(map[string]any, len(list))
	for i, v := range list {
		byNumber[fmt.Sprint(i)] = v
	}
	m["sources"] = byNumber
}

// readEnv reads FRESHRELAY_… by koanf's provider. Names that are no key are problems: a misspelt variable that does
// nothing is found too late.
func readEnv(environ []string, p *problems) (layer, error) {
	known := envNames()
	provider := env.Provider(delimiter, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if foreignEnv(name) || value == "" { // compose files pass empty variables for what is not set
				return "", nil
			}
			key, ok := envKey(name, known)
			if !ok {
				p.add(name, "", "unknown environment variable", "did you mean "+nearestEnv(name, known)+"?")
				return "", nil
			}
			p.from[key] = name
			return strings.ReplaceAll(envPath(key), ".", delimiter), value
		},
	})
	m, err := provider.Read()
	if err != nil {
		return nil, fmt.Errorf("read the environment: %w", err)
	}
	return m, nil
}

// dropRivals keeps the rule that a later layer wins for the secrets that are either a value or a file: a key in the
// environment replaces a key file in the configuration, and the other way round.
func dropRivals(file, fromEnv layer) {
	dropRival(file["freshmarketer"], fromEnv["freshmarketer"], "api_key")
	inFile, _ := file["sources"].(map[string]any)
	inEnv, _ := fromEnv["sources"].(map[string]any)
	for number := range inEnv {
		dropRival(inFile[number], inEnv[number], "batch_token")
	}
}

func dropRival(file, fromEnv any, secret string) {
	inFile, _ := file.(map[string]any)
	inEnv, _ := fromEnv.(map[string]any)
	for a, b := range map[string]string{secret: secret + "_file", secret + "_file": secret} {
		if _, ok := inEnv[a]; ok {
			delete(inFile, b)
		}
	}
}

func flagLayer(flags map[string]string, p *problems) layer {
	l := layer{}
	for key, value := range flags {
		p.from[key] = "the command line"
		group, name, dotted := strings.Cut(key, ".")
		if !dotted {
			l[key] = value
			continue
		}
		m, _ := l[group].(map[string]any)
		if m == nil {
			m = map[string]any{}
			l[group] = m
		}
		m[name] = value
	}
	return l
}

// yamlCause keeps the parser's message without the values it quotes in backticks: they may be secrets.
func yamlCause(err error) string {
	parts := strings.Split(strings.TrimPrefix(err.Error(), "yaml: "), "`")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "…"
	}
	return strings.Join(strings.Fields(strings.Join(parts, "")), " ")
}

// cause is the reason of a file error without the path, which the message already has.
func cause(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
