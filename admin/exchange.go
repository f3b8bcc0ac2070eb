package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Exchange takes letters back into the store. *queue.Store is one.
type Exchange interface {
	Import(ctx context.Context, letters []queue.Letter) error
	ID() string // of the store
}

// ExportedLetter is a letter outside of the store, with all that is needed to put it back: a line of an export.
type ExportedLetter struct {
	Letter

	Store string `json:"store"` // where it comes from: its position means something only there
	// Stored is the event byte for byte: a line with what was known at the door, then the call. StoredBase64 is instead of
	// it for bytes that are no text.
	Stored       string       `json:"stored,omitempty"`
	StoredBase64 []byte       `json:"stored_base64,omitempty"`
	Edits        []queue.Edit `json:"edits,omitempty"`
}

// Export is a page of /api/letters/export.
type Export struct {
	Letters []ExportedLetter `json:"letters"`
	Next    string           `json:"next,omitempty"` // after of the next page
	Total   int              `json:"total"`
}

// ImportRequest puts letters back.
type ImportRequest struct {
	Letters []ExportedLetter `json:"letters"`
}

// Imported is the answer of /api/letters/import. The letters take their turn in their users' lanes; those that are there
// already are counted as duplicates then.
type Imported struct {
	Count int `json:"count"`
}

// maxExport is how many letters, with their events, are in one answer: some 3 MB at most.
const maxExport = 100

// export answers letters with their events. Asking for it is asking for personal data, so it is audited.
func (s *server) export(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, append(filterNames(), "after")...)
	if err != nil {
		return err
	}
	f, err := s.filterOf(v)
	if err != nil {
		return err
	}
	page, err := s.Letters.Letters(r.Context(), queue.LetterQuery{LetterFilter: f, Limit: maxExport, After: v["after"]})
	if err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	if v["after"] == "" && page.Total > 0 {
		sel := Selection{All: f.All(), Filter: Filter{LetterFilter: f}}
		if err := s.audit(r, "export", page.Total, selected(sel)); err != nil {
			return err
		}
	}
	out := Export{Letters: []ExportedLetter{}, Next: page.Next, Total: page.Total}
	for _, l := range page.Letters {
		whole, err := s.Letters.Letter(r.Context(), l.ID)
		if errors.Is(err, queue.ErrNoLetter) {
			continue // settled meanwhile
		}
		if err != nil {
			return fmt.Errorf("read a dead letter: %w", err)
		}
		out.Letters = append(out.Letters, exported(whole, s.Exchange.ID()))
	}
	return answer(w, http.StatusOK, out)
}

func exported(l Letter, store string) ExportedLetter {
	e := ExportedLetter{Letter: l, Store: store, Edits: l.Edits}
	if utf8.Valid(l.Event) {
		e.Stored = string(l.Event)
	} else {
		e.StoredBase64 = l.Event
	}
	return e
}

// letter is what an export says, for this store: in another one the user has another token and the position means nothing.
func (s *server) imported(e ExportedLetter) (Letter, error) {
	l := e.Letter
	l.Activity = segment.Type(l.Type).Happens()
	l.Edits, l.Event = e.Edits, e.StoredBase64
	if e.Stored != "" {
		l.Event = []byte(e.Stored)
	}
	if len(l.Event) == 0 {
		return Letter{}, errors.New("it has no event")
	}
	if l.Reason == "" || l.FirstTry.IsZero() {
		return Letter{}, errors.New("it has no reason or no first_try")
	}
	if e.Store == s.Exchange.ID() {
		return l, nil
	}
	received, err := segment.Decode(l.Event)
	if err != nil {
		return Letter{}, errors.New("its event cannot be read, and it comes from another store")
	}
	l.User, l.Position = s.User(received.Lane()), 0
	return l, nil
}

func (s *server) importLetters(w http.ResponseWriter, r *http.Request) error {
	var req ImportRequest
	if err := body(w, r, &req); err != nil {
		return err
	}
	letters := make([]queue.Letter, 0, len(req.Letters))
	for i, e := range req.Letters {
		l, err := s.imported(e)
		if err != nil {
			return badRequest(fmt.Sprintf("letter %d of this part cannot be imported: %v", i+1, err), "give what freshrelay dlq export wrote")
		}
		if err := checkEdits(l.Edits); err != nil {
			return err
		}
		if l.LastTry.IsZero() {
			l.LastTry = time.Now().UTC()
		}
		letters = append(letters, l)
	}
	if len(letters) == 0 {
		return answer(w, http.StatusOK, Imported{})
	}
	if err := s.audit(r, "import", len(letters), ""); err != nil {
		return err
	}
	if err := s.Exchange.Import(r.Context(), letters); err != nil {
		if errors.Is(err, queue.ErrNoLetter) {
			return badRequest("a letter's user is not one of this store", "give what freshrelay dlq export wrote")
		}
		return fmt.Errorf("import dead letters: %w", err)
	}
	return answer(w, http.StatusOK, Imported{Count: len(letters)})
}
