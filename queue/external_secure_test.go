package queue_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// A server that wants TLS, a client certificate and a user's credentials is reached with all three, and not without one.
func TestServersAreReachedWithCredentialsOverTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	dir := t.TempDir()
	caFile := filepath.Join(dir, "ca.pem")
	certtest.Replace(t, caFile, ca.PEM())
	certFile, keyFile := ca.IssueFiles(dir, 1, time.Hour)
	users := newNATSAccount(t)
	url := users.serve(t, ca, certFile, keyFile)

	full := queue.External{URL: url, CredentialsFile: users.credentials(t), CAFile: caFile, CertFile: certFile, KeyFile: keyFile, Replicas: 1, Durability: queue.DurabilityFsync}
	without := map[string]func(*queue.External){
		"credentials":        func(e *queue.External) { e.CredentialsFile = "" },
		"the CA":             func(e *queue.External) { e.CAFile = "" },
		"client certificate": func(e *queue.External) { e.CertFile, e.KeyFile = "", "" },
	}
	for name, take := range without {
		external := full
		take(&external)
		if s, err := openExternal(t, external); err == nil {
			t.Errorf("the store opens without %s", name)
			queuetest.Close(t, s)
		} else {
			t.Logf("without %s: %v", name, err)
		}
	}
	s, err := openExternal(t, full)
	if err != nil {
		t.Fatal(err)
	}
	defer queuetest.Close(t, s)
	publish(t, s, entry("user", 1))
}

func openExternal(t *testing.T, e queue.External) (*queue.Store, error) {
	t.Helper()
	cfg := queuetest.Config(t, "")
	cfg.External, cfg.Partitions = &e, 1
	return queue.Open(t.Context(), cfg)
}

// natsAccount is an operator with an account that may use JetStream, as a NATS installation with credentials has them.
type natsAccount struct {
	operator *jwt.OperatorClaims
	account  nkeys.KeyPair
	accounts *server.MemAccResolver
	system   string
}

func newNATSAccount(t *testing.T) natsAccount {
	t.Helper()
	operatorKey, operatorID := newKey(t, nkeys.CreateOperator)
	claims, err := jwt.DecodeOperatorClaims(encode(t, jwt.NewOperatorClaims(operatorID), operatorKey))
	if err != nil {
		t.Fatal(err)
	}
	a := natsAccount{operator: claims, accounts: &server.MemAccResolver{}}
	var accountID string
	a.account, accountID = newKey(t, nkeys.CreateAccount)
	account := jwt.NewAccountClaims(accountID)
	account.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	_, a.system = newKey(t, nkeys.CreateAccount)
	for id, claims := range map[string]*jwt.AccountClaims{accountID: account, a.system: jwt.NewAccountClaims(a.system)} {
		if err := a.accounts.Store(id, encode(t, claims, operatorKey)); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// serve runs a server for the account until the test ends, and returns its address.
func (a natsAccount) serve(t *testing.T, ca *certtest.CA, certFile, keyFile string) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		TrustedOperators: []*jwt.OperatorClaims{a.operator}, AccountResolver: a.accounts, SystemAccount: a.system,
		TLSConfig:  &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12},
		TLSTimeout: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return srv.ClientURL()
}

// credentials is the file of a user of the account.
func (a natsAccount) credentials(t *testing.T) string {
	t.Helper()
	userKey, userID := newKey(t, nkeys.CreateUser)
	seed, err := userKey.Seed()
	if err != nil {
		t.Fatal(err)
	}
	data, err := jwt.FormatUserConfig(encode(t, jwt.NewUserClaims(userID), a.account), seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, id string) {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	id, err = key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func encode(t *testing.T, claims interface {
	Encode(pair nkeys.KeyPair) (string, error)
}, key nkeys.KeyPair,
) string {
	t.Helper()
	token, err := claims.Encode(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
