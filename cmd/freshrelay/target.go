package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

// options are where to read the configuration from, with the global flags on top.
func (p *program) options(g *globals) config.Options {
	flags := map[string]string{}
	set(flags, "data_dir", g.DataDir)
	set(flags, "admin.token_file", g.TokenFile)
	return config.Options{Path: g.Config, Dir: p.dir, Environ: p.environ, Flags: flags, Sandbox: g.UseSandbox}
}

// set puts a flag that was given over the configuration.
func set(flags map[string]string, key, value string) {
	if value != "" {
		flags[key] = value
	}
}

// service finds the running service that a subcommand should talk to.
func (p *program) service(g *globals) (config.Config, error) {
	o := p.options(g)
	cfg, err := config.LoadAdmin(o)
	if err != nil {
		return config.Config{}, err
	}
	if p.preferSandbox(cfg, g) {
		o.Sandbox = true
		return config.LoadAdmin(o)
	}
	return cfg, nil
}

// preferSandbox makes a command one about the sandbox, and says so, if that is all there is here.
func (p *program) preferSandbox(cfg config.Config, g *globals) bool {
	if g.UseSandbox || !p.onlySandboxHere(cfg) {
		return false
	}
	fmt.Fprintln(p.stderr, "using "+config.SandboxDataDir+": there is no configuration and no other data directory here")
	g.UseSandbox = true
	return true
}

// onlySandboxHere is the case of somebody who is trying it: nothing is configured, and the sandbox's data directory is
// the only one there is.
func (p *program) onlySandboxHere(cfg config.Config) bool {
	if cfg.File != "" || cfg.DataDir != config.Defaults().DataDir {
		return false
	}
	return !isDir(filepath.Join(p.dir, cfg.DataDir)) && isDir(filepath.Join(p.dir, config.SandboxDataDir))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// connect returns a client for the admin listener of the running service.
func (p *program) connect(g *globals) (*client, error) {
	cfg, err := p.service(g)
	if err != nil {
		return nil, err
	}
	return p.clientFor(cfg, g)
}

func (p *program) clientFor(cfg config.Config, g *globals) (*client, error) {
	base, err := baseOf(g.AdminURL, cfg.Admin.Listen, "--admin-url http://127.0.0.1:8081")
	if err != nil {
		return nil, err
	}
	path := p.path(admin.TokenPath(cfg.DataDir, cfg.Admin.TokenFile))
	token, err := admin.LoadToken(path)
	if errors.Is(err, fs.ErrNotExist) && !g.UseSandbox && isDir(p.path(config.SandboxDataDir)) {
		return nil, &failure{
			exitUnreachable, "there is no admin token at " + path + ", so no service seems to have run here but one with --sandbox, in " + config.SandboxDataDir,
			"add --sandbox if you mean that one, or say where it keeps its data: --data-dir or --token-file",
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{
			exitUnreachable, "there is no admin token at " + path + ", so no service seems to have run here",
			"start it with `freshrelay serve" + withSandbox(g) + "`, or say where it keeps its data: --data-dir or --token-file",
		}
	}
	if err != nil {
		return nil, &failure{exitUsage, err.Error(), "run this as the user of the service, or name a file you may read: --token-file"}
	}
	return &client{http: p.http, base: base, token: token, tokenFile: path}, nil
}

// withSandbox completes a command that is shown to somebody who works with the sandbox.
func withSandbox(g *globals) string {
	if g.UseSandbox {
		return " --sandbox"
	}
	return ""
}

// baseOf is the address a flag gives, else that of the configured listener. People type host:port too.
func baseOf(flag, listen, example string) (string, error) {
	if flag == "" {
		return urlOf(listen), nil
	}
	full := flag
	if !strings.Contains(flag, "://") {
		full = "http://" + flag
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", &failure{exitUsage, "not an address: " + clean(flag, 80), "give it like " + example}
	}
	return strings.TrimRight(full, "/"), nil
}

// path makes a path of the configuration one we can open, whatever directory we look from.
func (p *program) path(name string) string {
	if p.dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, name)
}

// urlOf is the address of a listener as one reaches it from this machine: one that listens everywhere is here too.
func urlOf(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// env is a variable of the environment, "" if it is not set.
func (p *program) env(name string) string {
	if p.environ == nil {
		return os.Getenv(name)
	}
	for _, pair := range p.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
