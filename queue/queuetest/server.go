package queuetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// serverVariable makes a test program that calls Main a nats-server.
const serverVariable = "QUEUETEST_NATS_SERVER"

// serverSpec is what such a process is told.
type serverSpec struct {
	Name, Dir       string
	Port, RoutePort int
	NoSync          bool  // writes reach the disk when the system likes, within two minutes
	Routes          []int // ports of all servers of the cluster; none: a server of its own
}

// serve is the whole life of a nats-server process: the same server as the nats-server program, from the module that
// is here anyway, so that tests need nothing but Go.
func serve(spec string) int {
	var s serverSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	opts := &server.Options{
		ServerName: s.Name, Host: "127.0.0.1", Port: s.Port, JetStream: true, StoreDir: s.Dir, SyncAlways: !s.NoSync,
		JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20, NoSigs: true,
		LogFile: s.Dir + ".log", Logtime: true, // for whoever has to look
	}
	if len(s.Routes) > 0 {
		opts.Cluster = server.ClusterOpts{Name: "queuetest", Host: "127.0.0.1", Port: s.RoutePort}
		var urls []string
		for _, port := range s.Routes {
			urls = append(urls, fmt.Sprintf("nats-route://127.0.0.1:%d", port))
		}
		opts.Routes = server.RoutesFromStr(strings.Join(urls, ","))
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	srv.ConfigureLogger()
	srv.Start()
	srv.WaitForShutdown()
	return 0
}

// Server is a nats-server process of its own. It can be killed and started again on the same ports and directory.
type Server struct {
	URL  string
	Name string

	t      testing.TB
	spec   serverSpec
	cmd    *exec.Cmd
	exited chan struct{}
}

// Servers starts n processes: one, or a cluster of three. They sync always.
func Servers(t testing.TB, n int) []*Server {
	t.Helper()
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	return ServersIn(t, dirs, true)
}

// ServersIn does so with one process for each directory, if wanted without sync.
func ServersIn(t testing.TB, dirs []string, sync bool) []*Server {
	t.Helper()
	n := len(dirs)
	ports := freePorts(t, 2*n)
	var routes []int
	if n > 1 {
		routes = ports[n:]
	}
	servers := make([]*Server, n)
	for i := range n {
		name := fmt.Sprint("n", i+1)
		servers[i] = &Server{
			t: t, Name: name, URL: fmt.Sprintf("nats://127.0.0.1:%d", ports[i]),
			spec: serverSpec{Name: name, Dir: filepath.Join(dirs[i], name), NoSync: !sync, Port: ports[i], RoutePort: ports[n+i], Routes: routes},
		}
		servers[i].Start()
	}
	Ready(t, servers)
	return servers
}

// URLs is the address of all servers, as a configuration has it.
func URLs(servers []*Server) string {
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.URL
	}
	return strings.Join(urls, ",")
}

// freePorts are ports that the servers come back on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		address, err := net.ResolveTCPAddr("tcp", Address(t))
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = address.Port
	}
	return ports
}

// Start begins a life.
func (s *Server) Start() {
	s.t.Helper()
	spec, err := json.Marshal(s.spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(os.Args[0])
	Tie(s.cmd)
	s.cmd.Env = append(os.Environ(), serverVariable+"="+string(spec))
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended does not matter
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone already
		<-exited
	})
}

// Freeze stops the process where it is. Only Kill ends that.
func (s *Server) Freeze() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Errorf("freezing %s: %v", s.Name, err)
	}
}

// Move lets the next life use what another directory holds.
func (s *Server) Move(dir string) { s.spec.Dir = filepath.Join(dir, s.Name) }

// Kill ends the process as a crash would, and waits until it is gone.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Errorf("killing %s: %v", s.Name, err)
	}
	<-s.exited
}

// Ready waits until the servers answer, and as a cluster have a leader for JetStream.
func Ready(t testing.TB, servers []*Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		nc, err := nats.Connect(URLs(servers), nats.Timeout(time.Second))
		if err == nil {
			_, err = nc.Request("$JS.API.INFO", nil, time.Second) // nobody answers before there is a leader
			all := len(nc.Servers()) >= len(servers)
			nc.Close()
			if err == nil && all {
				return
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatal("the NATS servers were not ready in time")
}

// Leader is the server that leads a stream at this moment, nil while there is none.
func Leader(t testing.TB, servers []*Server, stream string) *Server {
	t.Helper()
	nc, err := nats.Connect(URLs(servers), nats.Timeout(time.Second))
	if err != nil {
		return nil
	}
	defer nc.Close()
	msg, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, time.Second)
	if err != nil {
		return nil
	}
	var info struct {
		Cluster struct {
			Leader string `json:"leader"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(msg.Data, &info); err != nil {
		return nil
	}
	for _, s := range servers {
		if s.Name == info.Cluster.Leader {
			return s
		}
	}
	return nil
}
