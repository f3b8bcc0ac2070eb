package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
)

const (
	kindsAge   = time.Hour       // after which the lists are read again
	kindsRetry = 5 * time.Minute // after which they are read again because something was not in them
	// kindsTrouble is how long nobody asks again after they could not be read.
	kindsTrouble = 30 * time.Second
)

// kinds knows the account's types of sales activities and its owners, by the names that the configuration uses.
type kinds struct {
	client  *freshmarketer.Client
	gate    *gate
	metrics *metrics.Metrics
	log     *zap.Logger
	owner   string        // as configured
	lock    chan struct{} // capacity 1: somebody reads the lists

	mu            sync.Mutex
	types, owners []freshmarketer.Selectable
	at            time.Time // when they were read; zero: never
	doubted       bool
	trouble       *unread           // why they could not be read last; nil if they could
	missing       map[string]string // what is not there, for people, by the type that was asked for
	since         time.Time         // when the first of them was found out
}

// missingKind says that the account does not have what the configuration names: a look is worth it again at next.
type missingKind struct {
	what string
	next time.Time
}

func (e *missingKind) Error() string { return e.what }

// unread says that the lists could not be read, which is nobody's trouble who waits for them.
type unread struct {
	err *freshmarketer.Error
	at  time.Time
}

func (e *unread) Error() string {
	return "the account's types and owners cannot be read: " + e.err.Error()
}
func (e *unread) Unwrap() error { return e.err }

// resolve gives the ids of a type and of the owner. The lists are kept and read again now and then, and when something is not in
// them. Errors: *missingKind, *unread, errHeld.
func (k *kinds) resolve(waitCtx, callCtx context.Context, typ string) (typeID, ownerID string, err error) {
	if k.old(kindsAge) {
		if err := k.read(waitCtx, callCtx, kindsAge); err != nil {
			return "", "", err
		}
	}
	typeID, ownerID, what := k.find(typ)
	if what != "" && k.old(kindsRetry) {
		if err := k.read(waitCtx, callCtx, kindsRetry); err != nil {
			return "", "", err
		}
		typeID, ownerID, what = k.find(typ)
	}
	k.tell(typ, what)
	if what != "" {
		k.mu.Lock()
		defer k.mu.Unlock()
		return "", "", &missingKind{what: what, next: k.at.Add(kindsRetry)}
	}
	return typeID, ownerID, nil
}

// listed says whether the lists were ever read.
func (k *kinds) listed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.at.IsZero()
}

func (k *kinds) old(age time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at.IsZero() || time.Since(k.at) >= age || k.doubted && time.Since(k.at) >= kindsRetry
}

// doubt has the lists read again after the API refused something; it says whether they are old enough for that to help.
func (k *kinds) doubt() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doubted = true
	return time.Since(k.at) >= kindsRetry
}

// read reads both lists, unless somebody else just has.
func (k *kinds) read(waitCtx, callCtx context.Context, age time.Duration) error {
	select {
	case k.lock <- struct{}{}:
		defer func() { <-k.lock }()
	case <-waitCtx.Done():
		return context.Cause(waitCtx)
	}
	if !k.old(age) {
		return nil
	}
	if trouble := k.trouble; trouble != nil && time.Since(trouble.at) < kindsTrouble { // guarded by the lock
		return trouble
	}
	pass, _, err := k.gate.enter(waitCtx, classActivity, 2)
	if err != nil {
		return err
	}
	defer pass.leave()
	var lists [2][]freshmarketer.Selectable
	for i, which := range []freshmarketer.Selector{freshmarketer.SelectActivityTypes, freshmarketer.SelectOwners} {
		if err := pass.admit(); err != nil {
			return err
		}
		list, err := k.client.Select(callCtx, which)
		pass.reportRead("", err)
		if api, ok := errors.AsType[*freshmarketer.Error](err); ok {
			k.trouble = &unread{err: api, at: time.Now()}
			return k.trouble
		}
		if err != nil {
			return err
		}
		lists[i] = list
	}
	k.trouble = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	k.types, k.owners, k.at, k.doubted = lists[0], lists[1], time.Now(), false
	return nil
}

// find looks both up. what says which is not there, and what there is.
func (k *kinds) find(typ string) (typeID, ownerID, what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return FindKinds(k.types, k.owners, typ, k.owner)
}

// FindKinds finds the ids of a type of sales activities and of an owner among the account's lists. what says which of them is not
// there, with what there is instead of a type; owners are people and are not listed.
func FindKinds(types, owners []freshmarketer.Selectable, typ, owner string) (typeID, ownerID, what string) {
	t, err := pick(types, typ)
	if err != nil {
		var names []string
		for _, s := range types {
			if !s.Disabled {
				names = append(names, s.Name)
			}
		}
		slices.Sort(names)
		return "", "", fmt.Sprintf("activities.type: %v type of sales activities %q: make it in Freshmarketer (Admin Settings > Sales activities), or use one of: %s",
			err, typ, strings.Join(names, ", "))
	}
	o, err := pick(owners, owner)
	if err != nil {
		return "", "", fmt.Sprintf("activities.owner: %v user as configured: give the address, the full name or the id of an active user of the account", err)
	}
	return t.ID, o.ID, ""
}

var (
	errNone    = errors.New("the account has no")
	errSeveral = errors.New("the account has more than one")
)

// pick finds a choice by its id, its address, or its name in any letter case. One that is switched off is not there.
func pick(list []freshmarketer.Selectable, wanted string) (freshmarketer.Selectable, error) {
	wanted = strings.TrimSpace(wanted)
	for _, same := range []func(freshmarketer.Selectable) string{
		func(s freshmarketer.Selectable) string { return s.ID },
		func(s freshmarketer.Selectable) string { return s.Email },
		func(s freshmarketer.Selectable) string { return s.Name },
		func(s freshmarketer.Selectable) string { return s.Internal },
	} {
		var found []freshmarketer.Selectable
		for _, s := range list {
			if !s.Disabled && wanted != "" && strings.EqualFold(strings.TrimSpace(same(s)), wanted) {
				found = append(found, s)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return freshmarketer.Selectable{}, errSeveral
		}
	}
	return freshmarketer.Selectable{}, errNone
}

// tell says once that something is missing for a type, "" if nothing is, and once that nothing is missing any more.
func (k *kinds) tell(typ, what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.missing[typ]
	if what == before {
		return
	}
	known := slices.Contains(slices.Collect(maps.Values(k.missing)), what)
	if what == "" {
		delete(k.missing, typ)
	} else {
		if len(k.missing) == 0 {
			k.missing, k.since = map[string]string{}, time.Now()
		}
		k.missing[typ] = what
	}
	switch {
	case len(k.missing) == 0:
		k.log.Info("activities are sent again: the account has their type and owner")
	case what != "" && !known: // the owner is missing for every type
		k.log.Error("activities wait, contacts do not: the account lacks what the configuration names", zap.String("missing", what))
	}
	k.metrics.SetPaused(metrics.PausedActivities, len(k.missing) > 0)
}

// pause is why activities wait, nil if they do not.
func (k *kinds) pause() *Pause {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.missing) == 0 {
		return nil
	}
	what := slices.Compact(slices.Sorted(maps.Values(k.missing)))
	return &Pause{Reason: HoldActivities, Since: k.since, Detail: strings.Join(what, "; ") + "; only activities wait"}
}
