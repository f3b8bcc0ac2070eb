package config

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// minStore leaves room for each of the streams that share it.
const minStore Size = 64 << 20

// maxPartitions is far above the number of processes that one account's quota can occupy; each partition costs every round
// of every process a look at its lease.
const maxPartitions = 256

// maxClusterTimeout leaves a lease of 30 s, which is renewed every 8 s, room for a call, a margin of 2 s and a slow renewal.
const maxClusterTimeout = 15 * time.Second

func validateNATS(c Config, p *problems) {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`).MatchString(c.NATS.Prefix) {
		p.add("nats.prefix", quoted(c.NATS.Prefix), "cannot begin the names of streams",
			"use up to 32 of a-z, 0-9 and -, a letter first")
	}
	if m := c.NATS.MaxBytes; m != 0 && m < minStore {
		p.add("nats.max_bytes", quoted(m), "is too small for a store", "give it at least "+minStore.String()+", or 0")
	}
	validateEncryption(c.NATS, p)
	n := c.NATS
	if n.URL != "" && (n.EncryptionKey != "" || n.EncryptionKeyFile != "") {
		p.add("nats.encryption_key", hidden, "is for the embedded broker, and nats.url is set", "remove it, and give your NATS servers an encryption key of their own")
	}
	if n.URL == "" {
		validateEmbedded(n, p)
		return
	}
	for server := range strings.SplitSeq(n.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || !strings.Contains(" nats tls ws wss ", " "+u.Scheme+" ") || strings.Trim(u.Path, "/") != "" {
			p.add("nats.url", hidden, "is not the address of a NATS server", "write it like nats://nats-1.example.com:4222, several with commas")
		} else if u.User != nil {
			p.add("nats.url", hidden, "has a user in it, which would show up in logs", "put the user's credentials into a file: nats.credentials_file")
		}
	}
	if n.Replicas != 1 && n.Replicas != 3 {
		p.add("nats.replicas", quoted(n.Replicas), "is not a number of replicas that is supported", "use 3, or 1 for a single server")
	}
	if n.Partitions < 0 || n.Partitions > maxPartitions {
		p.add("nats.partitions", quoted(n.Partitions), "is out of range", fmt.Sprintf("use 1 to %d, or 0 for 16", maxPartitions))
	}
	const declare = "say what holds: fsync (every server has sync_interval: always) or replicated (an acknowledgement means most replicas have it)"
	switch {
	case n.Durability == "" && !p.has("nats.durability"):
		p.add("nats.durability", "", "is missing, and a client cannot ask the servers", declare)
	case n.Durability != "" && n.Durability != DurabilityFsync && n.Durability != DurabilityReplicated:
		p.add("nats.durability", quoted(n.Durability), "is not one of the choices", declare)
	case n.Durability == DurabilityReplicated && n.Replicas == 1:
		p.add("nats.durability", quoted(n.Durability), "promises replicas, and nats.replicas is 1", "set nats.replicas: 3, or sync_interval: always on the server and fsync here")
	}
	readable("nats.credentials_file", n.CredentialsFile, p)
	readable("nats.tls.ca_file", n.TLS.CAFile, p)
	readable("nats.tls.cert_file", n.TLS.CertFile, p)
	readable("nats.tls.key_file", n.TLS.KeyFile, p)
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		p.add("nats.tls.cert_file", quoted(n.TLS.CertFile), "goes with nats.tls.key_file", "set both or none")
	}
	if t := c.Freshmarketer.Timeout; t > maxClusterTimeout {
		p.add("freshmarketer.timeout", quoted(t), "is longer than a partition is sure to be owned", "use at most "+maxClusterTimeout.String()+" with nats.url")
	}
}

// validateEmbedded refuses what has no meaning without servers of one's own: somebody believes it has.
func validateEmbedded(n NATS, p *problems) {
	const mend = "set nats.url too, or remove it"
	for key, value := range map[string]string{
		"nats.credentials_file": n.CredentialsFile, "nats.durability": n.Durability,
		"nats.tls.ca_file": n.TLS.CAFile, "nats.tls.cert_file": n.TLS.CertFile, "nats.tls.key_file": n.TLS.KeyFile,
	} {
		if value != "" {
			p.add(key, quoted(value), "is for your own NATS servers", mend)
		}
	}
	if n.Replicas != 1 {
		p.add("nats.replicas", quoted(n.Replicas), "is for your own NATS servers", mend)
	}
	if n.Partitions != 0 && n.Partitions != 1 {
		p.add("nats.partitions", quoted(n.Partitions), "is for your own NATS servers", mend)
	}
}

func readable(key, path string, p *problems) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		p.add(key, quoted(path), "cannot be read: "+cause(err), "check the path and who may read it")
		return
	}
	_ = f.Close() // nothing was written
}

// WithNATS returns the configuration with another broker, checked.
func (c Config) WithNATS(n NATS) (Config, error) {
	c.NATS = n
	p := &problems{from: map[string]string{}}
	validateNATS(c, p)
	return c, p.err("")
}
