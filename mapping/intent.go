package mapping

// Intent is what is about to be done and cannot be repeated. It is committed before; a record that has one without an outcome tells
// that it may have been done.
type Intent struct {
	Pos     uint64     `json:"p"` // log position of the call
	At      int64      `json:"t"` // unix seconds of the last try
	As      ActivityAs `json:"as"`
	Contact string     `json:"c"` // id of the contact
}
