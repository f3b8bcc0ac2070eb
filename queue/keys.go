package queue

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	identityVersion = 1
	userBytes       = 16 // of the digest: 128 bits, 26 characters in base32
)

// userEncoding gives subject tokens: lower case letters and digits only.
var userEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a table nobody writes to

// identity is made once per store and ties its streams together.
type identity struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`  // also in the metadata of EVENTS
	Key     []byte    `json:"key"` // of the keyed hash that makes user tokens
	Created time.Time `json:"created"`
	// Partitions is how many logs the users are spread over. Stores made before there could be several have one.
	Partitions int `json:"partitions,omitempty"`
}

func newIdentity(partitions int) (identity, error) {
	id := identity{Version: identityVersion, Key: make([]byte, 32), Created: time.Now().UTC(), Partitions: partitions}
	token := make([]byte, userBytes)
	if _, err := rand.Read(id.Key); err != nil {
		return identity{}, fmt.Errorf("making the store's key: %w", err)
	}
	if _, err := rand.Read(token); err != nil {
		return identity{}, fmt.Errorf("making the store's id: %w", err)
	}
	id.ID = userEncoding.EncodeToString(token)
	return id, nil
}

func decodeIdentity(data []byte) (identity, error) {
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, fmt.Errorf("%w: the store's identity is unreadable: %w", ErrMismatch, err)
	}
	id.Partitions = max(id.Partitions, 1)
	if id.Version != identityVersion {
		return identity{}, fmt.Errorf("%w: the store has format %d and this program knows format %d: use the version of freshrelay that made it",
			ErrMismatch, id.Version, identityVersion)
	}
	return id, nil
}

// digest is the keyed hash of a userId. Keyed, so that a copy of the store's subjects alone does not tell who is in it.
func (id identity) digest(userID string) [userBytes]byte {
	mac := hmac.New(sha256.New, id.Key)
	mac.Write([]byte(userID))
	return [userBytes]byte(mac.Sum(nil)[:userBytes])
}

// partition is where the user's events are stored: the digest's first 4 bytes, spread over the partitions.
func (id identity) partition(digest [userBytes]byte) int {
	return int(binary.BigEndian.Uint32(digest[:4]) % uint32(id.Partitions))
}

// token is the digest as a subject token: 26 characters, no dots, no personal data.
func token(digest [userBytes]byte) string { return userEncoding.EncodeToString(digest[:]) }

var errLetterID = errors.New("a dead letter's id is <user>.<position>, as 'freshrelay dlq list' prints it")

// parseLetterID splits "<user>.<position>".
func parseLetterID(id string) (digest [userBytes]byte, position uint64, err error) {
	user, pos, found := strings.Cut(id, ".")
	raw, decodeErr := userEncoding.DecodeString(user)
	if !found || decodeErr != nil || len(raw) != userBytes {
		return digest, 0, errLetterID
	}
	position, parseErr := strconv.ParseUint(pos, 10, 64)
	if parseErr != nil {
		return digest, 0, errLetterID
	}
	return [userBytes]byte(raw), position, nil
}

func letterID(user string, position uint64) string {
	return user + "." + strconv.FormatUint(position, 10)
}
