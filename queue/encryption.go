package queue

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"
)

// Encryption is at rest, of everything the embedded broker keeps. The zero value means none. The broker works with a random
// key that is made with the store and kept in its directory, sealed with Key: so Key can be changed without writing the store
// anew, in one step that a crash cannot cut in two. (The broker could change keys by itself, by writing its files over in
// place. A crash in the middle of that costs what is in them.)
type Encryption struct {
	Key string // any text with MinKey characters or more
	// OldKey is the key so far. With it, one start seals with Key what OldKey opens; it is not needed after that.
	OldKey string
}

// MinKey is the least length of an encryption key.
const MinKey = 32

// keyFile holds the sealed key of a store. It belongs into every backup of it.
const keyFile = "store.key"

// sealedKey is what is in keyFile.
type sealedKey struct {
	Version int    `json:"version"`
	Nonce   []byte `json:"nonce"`
	Sealed  []byte `json:"sealed"`
}

// sealInfo ties what is derived from a key to its use.
const sealInfo = "freshrelay store key 1"

// unlock returns the key that the broker works with, "" for a store without encryption. It makes one for a new store.
func (e Encryption) unlock(dir string, streams []storedStream) (string, error) {
	for name, key := range map[string]string{"encryption key": e.Key, "old encryption key": e.OldKey} {
		if key != "" && len(key) < MinKey {
			return "", fmt.Errorf("%w: the %s has %d characters, it needs at least %d: make one with 'openssl rand -base64 32'", ErrKey, name, len(key), MinKey)
		}
	}
	sealed, err := os.ReadFile(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e.without(dir, streams)
	}
	if err != nil {
		return "", fmt.Errorf("reading the store's key: %w", err)
	}
	if e.Key == "" {
		return "", fmt.Errorf("%w: the store in %s is encrypted and no key is given: set nats.encryption_key_file to the key it was made with", ErrKey, dir)
	}
	if key, err := unseal(sealed, e.Key); err == nil || e.OldKey == "" {
		return key, err
	}
	key, err := unseal(sealed, e.OldKey)
	if err != nil {
		return "", err
	}
	return key, writeSealed(dir, key, e.Key)
}

// without is unlock where no sealed key is there.
func (e Encryption) without(dir string, streams []storedStream) (string, error) {
	for _, s := range streams {
		switch {
		case s.encrypted:
			return "", fmt.Errorf("%w: the store in %s is encrypted and its %s is gone: restore that file from a backup", ErrKey, dir, keyFile)
		case e.Key != "" && !s.unmade:
			return "", fmt.Errorf("%w: the store in %s is not encrypted, and can only be from its beginning: let it deliver what it holds, then start with an empty data_dir; or go on without nats.encryption_key_file",
				ErrKey, dir)
		}
	}
	if e.Key == "" {
		return "", nil
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("making the store's key: %w", err)
	}
	key := base64.RawStdEncoding.EncodeToString(raw)
	return key, writeSealed(dir, key, e.Key)
}

func unseal(data []byte, key string) (string, error) {
	var s sealedKey
	if err := json.Unmarshal(data, &s); err != nil || s.Version != 1 || len(s.Nonce) != chacha20poly1305.NonceSizeX {
		return "", fmt.Errorf("%w: the file %s is damaged: restore it from a backup", ErrKey, keyFile)
	}
	derived, err := hkdf.Key(sha256.New, []byte(key), s.Nonce, sealInfo, chacha20poly1305.KeySize)
	if err != nil {
		return "", fmt.Errorf("opening the store's key: %w", err)
	}
	box, err := chacha20poly1305.NewX(derived)
	if err != nil {
		return "", fmt.Errorf("opening the store's key: %w", err)
	}
	opened, err := box.Open(nil, s.Nonce, s.Sealed, []byte(sealInfo))
	if err != nil {
		return "", fmt.Errorf("%w: it is not the one the store is sealed with: give that one (nats.encryption_key_file), or, to change it, both (nats.encryption_old_key_file); nothing was changed", ErrKey)
	}
	return string(opened), nil
}

// writeSealed replaces the file as a whole or not at all, and returns once it is on disk.
func writeSealed(dir, opened, key string) error {
	s := sealedKey{Version: 1, Nonce: make([]byte, chacha20poly1305.NonceSizeX)}
	if _, err := rand.Read(s.Nonce); err != nil {
		return fmt.Errorf("sealing the store's key: %w", err)
	}
	derived, err := hkdf.Key(sha256.New, []byte(key), s.Nonce, sealInfo, chacha20poly1305.KeySize)
	if err != nil {
		return fmt.Errorf("sealing the store's key: %w", err)
	}
	box, err := chacha20poly1305.NewX(derived)
	if err != nil {
		return fmt.Errorf("sealing the store's key: %w", err)
	}
	s.Sealed = box.Seal(nil, s.Nonce, []byte(opened), []byte(sealInfo))
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("sealing the store's key: %w", err)
	}
	if err := replaceFile(filepath.Join(dir, keyFile), data); err != nil {
		return fmt.Errorf("storing the store's key: %w", err)
	}
	return nil
}

// replaceFile writes a file beside, syncs it, and puts it in place.
func replaceFile(path string, data []byte) (err error) {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
