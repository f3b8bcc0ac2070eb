package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// Version is what `version -o json` prints.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the repository; "+" behind it: with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints which build this is.
func (*versionCmd) Run(p *program, g *globals) error {
	v := Version{Version: version(), Revision: revision(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if g.Output == "json" {
		return p.printJSON(v)
	}
	fmt.Fprintf(p.stdout, "freshrelay %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	if v.Revision != "" {
		fmt.Fprintln(p.stdout, "revision "+v.Revision)
	}
	return nil
}

// version is the module's version as the Go tool has stamped it: a tag, or one made of the last commit's time.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	values := map[string]string{}
	for _, s := range info.Settings {
		values[s.Key] = s.Value
	}
	rev := values["vcs.revision"]
	if rev != "" && values["vcs.modified"] == "true" {
		rev += "+"
	}
	return rev
}
