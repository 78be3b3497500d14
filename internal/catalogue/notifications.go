package catalogue

import "time"

// SetNotifications replaces the notification configuration of a vault; nil removes it.
func (tx *Tx) SetNotifications(vault int64, topic, events *string) error {
	return tx.execOne(`UPDATE vaults SET topic = $2, events = $3 WHERE vault_id = $1`, vault, topic, events)
}

// Notice is a message that was not delivered yet, or was given up.
type Notice struct {
	ID        string // UUID
	AccountID string // of the vault
	Topic     string
	Message   string
	CreatedAt time.Time
	Attempts  int64
	NextAt    time.Time // zero: given up
	LastError *string
}

func (n *Notice) fields() []any {
	return []any{&n.ID, &n.AccountID, &n.Topic, &n.Message, moment{&n.CreatedAt}, &n.Attempts, moment{&n.NextAt}, &n.LastError}
}

const noticeColumns = `notice_id, account_id, topic, message, created_at, attempts, next_at, last_error`

// InsertNotice adds a message that is to be delivered.
func (tx *Tx) InsertNotice(n Notice) error {
	return tx.exec(`INSERT INTO notices (`+noticeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		n.ID, n.AccountID, n.Topic, n.Message, millis(n.CreatedAt), n.Attempts, millis(n.NextAt), n.LastError)
}

// DueTopics returns up to limit topics after one, by name, that have messages to be delivered at a moment. One that is to be delivered later than a second moment was made under a clock that
// was ahead, and is due.
func (tx *Tx) DueTopics(at, never time.Time, after string, limit int) (topics []string, err error) {
	err = each(tx, func(t topic) error {
		topics = append(topics, string(t))
		return nil
	}, `SELECT DISTINCT topic FROM notices WHERE next_at IS NOT NULL AND (next_at <= $1 OR next_at > $2) AND topic > $3 ORDER BY topic LIMIT $4`, millis(at), millis(never), after, limit)
	return topics, err
}

type topic string

func (t *topic) fields() []any { return []any{(*string)(t)} }

// DueNotices returns up to limit messages of a topic that DueTopics means, those first that have waited longest.
func (tx *Tx) DueNotices(topic string, at, never time.Time, limit int) ([]Notice, error) {
	return all[Notice](tx, `SELECT `+noticeColumns+` FROM notices WHERE topic = $1 AND next_at IS NOT NULL AND (next_at <= $2 OR next_at > $3)
		ORDER BY next_at, notice_id LIMIT $4`, topic, millis(at), millis(never), limit)
}

// NextNotice returns when the next message is to be delivered, the zero time if none is waiting.
func (tx *Tx) NextNotice() (at time.Time, err error) {
	err = tx.scan([]any{moment{&at}}, `SELECT MIN(next_at) FROM notices WHERE next_at IS NOT NULL`)
	return at, err
}

// NoticesAfter returns up to limit messages after one, by date and id. The zero Notice begins with the first.
func (tx *Tx) NoticesAfter(n Notice, limit int) ([]Notice, error) {
	return all[Notice](tx, `SELECT `+noticeColumns+` FROM notices WHERE (created_at, notice_id) > ($1, $2) ORDER BY created_at, notice_id LIMIT $3`,
		n.CreatedAt.UnixMilli(), n.ID, limit)
}

// NoticeFailed notes that an attempt has failed, and when the next one is: the zero time gives the message up. One that was delivered meanwhile stays gone.
func (tx *Tx) NoticeFailed(id, problem string, next time.Time) error {
	return tx.exec(`UPDATE notices SET attempts = attempts + 1, last_error = $2, next_at = $3 WHERE notice_id = $1`, id, problem, millis(next))
}

// RetryNotices makes a message, or with an empty id all that were given up, due at a moment. It returns how many.
func (tx *Tx) RetryNotices(id string, at time.Time) (int64, error) {
	result, err := tx.execute(`UPDATE notices SET next_at = $2, attempts = 0, created_at = CASE WHEN next_at IS NULL THEN $2 ELSE created_at END
		WHERE ($1 = '' AND next_at IS NULL) OR notice_id = $1`, []any{id, millis(at)})
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// DeleteNotice removes a message: it was delivered.
func (tx *Tx) DeleteNotice(id string) error {
	return tx.exec(`DELETE FROM notices WHERE notice_id = $1`, id)
}

// ForgetNotices removes up to limit messages that were given up and are older than a moment.
func (tx *Tx) ForgetNotices(before time.Time, limit int) error {
	return tx.exec(`DELETE FROM notices WHERE notice_id IN (SELECT notice_id FROM notices WHERE next_at IS NULL AND created_at < $1 LIMIT $2)`, millis(before), limit)
}
