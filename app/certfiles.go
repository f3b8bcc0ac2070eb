package app

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// certLookEvery is how often the files of a certificate are looked at, at most: whoever renews them waits no longer
// for us, and a rush of handshakes does not become a rush on the disk.
const certLookEvery = 5 * time.Second

// certFiles is a certificate in two files that somebody else renews. It is looked at on handshakes, so that nothing
// runs while nobody calls.
type certFiles struct {
	certFile, keyFile string
	log               *zap.Logger

	pair atomic.Pointer[tls.Certificate] // the newest that was good; never nil

	mu      sync.Mutex     // held by the handshake that looks; the others go on with the pair there is
	seen    [2]fs.FileInfo // the files as they were when they were last read, good or not; nil for a missing one
	next    time.Time
	expired bool // it was said that the pair has expired
}

// newCertFiles reads the files for the first time.
func newCertFiles(certFile, keyFile string, log *zap.Logger) (*certFiles, error) {
	c := &certFiles{certFile: certFile, keyFile: keyFile, log: log}
	c.seen = c.stat()
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("the certificate in tls.cert_file and tls.key_file: %w", err)
	}
	now := time.Now()
	c.next = now.Add(certLookEvery)
	c.checkExpiry(now)
	return c, nil
}

// certificate is for tls.Config.GetCertificate. It always has one.
func (c *certFiles) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		c.look(time.Now())
		c.mu.Unlock()
	}
	return c.pair.Load(), nil
}

// look reads the files again if they are others than the ones last read, good or not: a broken pair is told of once.
func (c *certFiles) look(now time.Time) {
	if now.Before(c.next) {
		return
	}
	c.next = now.Add(certLookEvery)
	// Before they are read: what changes meanwhile is seen the next time.
	if files := c.stat(); !sameFile(files[0], c.seen[0]) || !sameFile(files[1], c.seen[1]) {
		c.seen = files
		if err := c.read(); err != nil {
			c.log.Warn("the new certificate cannot be used, the old one stays: tls.cert_file and tls.key_file must belong together",
				zap.Error(err), zap.Time("old_not_after", c.pair.Load().Leaf.NotAfter))
		} else {
			c.expired = false
			c.log.Info("a new certificate is used", zap.Time("not_after", c.pair.Load().Leaf.NotAfter))
		}
	}
	c.checkExpiry(now)
}

func (c *certFiles) checkExpiry(now time.Time) {
	if end := c.pair.Load().Leaf.NotAfter; now.After(end) && !c.expired {
		c.expired = true
		c.log.Error("the certificate has expired, senders will not accept it: renew tls.cert_file and tls.key_file", zap.Time("not_after", end))
	}
}

func (c *certFiles) read() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair.Store(&pair)
	return nil
}

// stat follows links: certbot and Kubernetes change what a link points to.
func (c *certFiles) stat() [2]fs.FileInfo {
	var files [2]fs.FileInfo
	for i, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			files[i] = info
		}
	}
	return files
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
