package access_test

// Whose policies decide: the three sources, the accounts, whom statements speak of, and at which time.

const (
	allows = `{"Effect":"Allow"}`
	denies = `{"Effect":"Deny"}`
)

// sourceTable is about callers of the vault's account.
var sourceTable = []decision{
	// name, who, action, own, access, lock, facts, want
	{"root needs no policy", "root", "DeleteVault", "", "", "", "", "allow: root"},
	{"root and a policy of the vault", "root", "", "", allows, allows, "", "allow: root"},
	{"root is denied by its own policy", "root", "", denies, "", "", "", "deny: own 1"},
	{"root is denied by the access policy", "root", "", "", denies, "", "", "deny: access 1"},
	{"root is denied by the lock", "root", "", "", "", denies, "", "deny: lock 1"},
	{"root is denied something else", "root", "DescribeVault", "", "", `{"Effect":"Deny","Action":"glacier:Delete*"}`, "", "allow: root"},
	{"root is denied by a lock that the access policy would overrule", "root", "", "", allows, denies, "", "deny: lock 1"},

	{"a user without policies", "alice", "", "", "", "", "", "deny"},
	{"a user's own policy", "alice", "", allows, "", "", "", "allow: own 1"},
	{"a user's second policy", "alice", "", `{"Effect":"Allow","Action":"glacier:ListJobs"} & ` + allows, "", "", "", "allow: own2 1"},
	{"a user's second statement", "alice", "", `[{"Effect":"Allow","Action":"glacier:ListJobs"},{"Effect":"Allow"}]`, "", "", "", "allow: own 2"},
	{"a user's policy of something else", "alice", "", `{"Effect":"Allow","Action":"glacier:ListJobs"}`, "", "", "", "deny"},
	{"a user by the access policy alone", "alice", "", "", allows, "", "", "allow: access 1"},
	{"a user by the lock alone", "alice", "", "", "", allows, "", "allow: lock 1"},
	{"a user's own policy is named before the vault's", "alice", "", allows, allows, allows, "", "allow: own 1"},
	{"the access policy is named before the lock", "alice", "", "", allows, allows, "", "allow: access 1"},
	{"a role without policies", "nightly", "", "", "", "", "", "deny"},
	{"a role's own policy", "nightly", "", allows, "", "", "", "allow: own 1"},

	{"a user's own denial beats its own permission", "alice", "", `[{"Effect":"Allow"},{"Effect":"Deny"}]`, "", "", "", "deny: own 2"},
	{"a user's own denial in another policy", "alice", "", allows + " & " + denies, "", "", "", "deny: own2 1"},
	{"a user's own denial beats the access policy", "alice", "", denies, allows, "", "", "deny: own 1"},
	{"a user's own denial beats the lock", "alice", "", denies, "", allows, "", "deny: own 1"},
	{"the access policy's denial beats the user's permission", "alice", "", allows, denies, "", "", "deny: access 1"},
	{"the access policy's denial beats its permission", "alice", "", "", `[{"Effect":"Allow"},{"Effect":"Deny"}]`, "", "", "deny: access 2"},
	{"the access policy's denial beats the lock", "alice", "", "", denies, allows, "", "deny: access 1"},
	{"the lock's denial beats the user's permission", "alice", "", allows, "", denies, "", "deny: lock 1"},
	{"the lock's denial beats the access policy", "alice", "", "", allows, denies, "", "deny: lock 1"},
	{"the lock's denial beats everything", "alice", "", allows, allows, `[{"Effect":"Allow"},{"Effect":"Deny"}]`, "", "deny: lock 2"},
	{"all deny: the caller's policy is named", "alice", "", denies, denies, denies, "", "deny: own 1"},
	{"a denial of something else", "alice", "", `[{"Effect":"Allow"},{"Effect":"Deny","Action":"glacier:ListJobs"}]`, "", "", "", "allow: own 1"},
	{"a denial of somebody else", "alice", "", allows, "", `{"Effect":"Deny","Principal":{"AWS":"@bob"}}`, "", "allow: own 1"},
	{"a denial under a condition that does not hold", "alice", "", allows, "", `{"Effect":"Deny","Condition":{"Bool":{"aws:SecureTransport":false}}}`, "https", "allow: own 1"},

	{"the Sid is the name of a statement", "root", "", "", "", `{"Effect":"Deny","Sid":"keep"}`, "", `deny: lock "keep"`},
	{"an empty Sid is none", "root", "", "", "", `{"Effect":"Deny","Sid":""}`, "", "deny: lock 1"},
	{"the first of two denials is named", "root", "", "", "", `[{"Effect":"Deny","Sid":"a"},{"Effect":"Deny","Sid":"b"}]`, "", `deny: lock "a"`},
}

// accountTable is about callers of another account.
var accountTable = []decision{
	{"a stranger with nothing", "mallory", "", "", "", "", "", "deny"},
	{"a stranger by the own policy only", "mallory", "", allows, "", "", "", "deny"},
	{"a stranger by the access policy only", "mallory", "", "", allows, "", "", "deny"},
	{"a stranger by the lock only", "mallory", "", "", "", allows, "", "deny"},
	{"a stranger by own and access policy", "mallory", "", allows, allows, "", "", "allow: access 1"},
	{"a stranger by own policy and lock", "mallory", "", allows, "", allows, "", "allow: lock 1"},
	{"a stranger by both policies of the vault, not the own", "mallory", "", "", allows, allows, "", "deny"},
	{"a stranger, named, with own policy", "mallory", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@mallory"}}`, "", "", "allow: access 1"},
	{"a stranger, named, without own policy", "mallory", "", "", `{"Effect":"Allow","Principal":{"AWS":"@mallory"}}`, "", "", "deny"},
	{"a stranger, account named, with own policy", "mallory", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@away"}}`, "", "", "allow: access 1"},
	{"a stranger, account's root named, with own policy", "mallory", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@owner"}}`, "", "", "allow: access 1"},
	{"a stranger, account named, without own policy", "mallory", "", "", `{"Effect":"Allow","Principal":{"AWS":"@away"}}`, "", "", "deny"},
	{"a stranger, somebody else named", "mallory", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@auditor"}}`, "", "", "deny"},
	{"a stranger, the vault's account named", "mallory", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "deny"},
	{"a stranger's own denial", "mallory", "", `[{"Effect":"Allow"},{"Effect":"Deny"}]`, allows, "", "", "deny: own 2"},
	{"a stranger and the lock's denial", "mallory", "", allows, allows, denies, "", "deny: lock 1"},
	{"a stranger and the access policy's denial", "mallory", "", allows, `[{"Effect":"Allow"},{"Effect":"Deny","Principal":{"AWS":"@away"}}]`, "", "", "deny: access 2"},
	{"a stranger's policy of another vault", "mallory", "", `{"Effect":"Allow","Resource":"@vaults/films"}`, allows, "", "", "deny"},
	{"a stranger's policy of another action", "mallory", "", `{"Effect":"Allow","Action":"glacier:ListJobs"}`, allows, "", "", "deny"},
	{"a vault's policy of another action", "mallory", "", allows, `{"Effect":"Allow","Action":"glacier:ListJobs"}`, "", "", "deny"},

	{"the root of another account with nothing", "owner", "", "", "", "", "", "deny"},
	{"the root of another account, everybody allowed", "owner", "", "", allows, "", "", "allow: access 1"},
	{"the root of another account, everybody allowed by the lock", "owner", "", "", "", allows, "", "allow: lock 1"},
	{"the root of another account, account named", "owner", "", "", `{"Effect":"Allow","Principal":{"AWS":"@away"}}`, "", "", "allow: access 1"},
	{"the root of another account, root named", "owner", "", "", `{"Effect":"Allow","Principal":{"AWS":"@owner"}}`, "", "", "allow: access 1"},
	{"the root of another account, its user named", "owner", "", "", `{"Effect":"Allow","Principal":{"AWS":"@mallory"}}`, "", "", "deny"},
	{"the root of another account, the vault's account named", "owner", "", "", `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "deny"},
	{"the root of another account, denied", "owner", "", "", `[{"Effect":"Allow"},{"Effect":"Deny","Principal":{"AWS":"@owner"}}]`, "", "", "deny: access 2"},

	{"a role of another account, role named", "audit", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@auditor"}}`, "", "", "allow: access 1"},
	{"a role of another account, session named", "audit", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@audit"}}`, "", "", "allow: access 1"},
	{"a role of another account, account named", "audit", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@away"}}`, "", "", "allow: access 1"},
	{"a role of another account without own policy", "audit", "", "", `{"Effect":"Allow","Principal":{"AWS":"@auditor"}}`, "", "", "deny"},
}

// principalTable is about whom a statement speaks of. In the vault's account a policy of the vault is enough for those that it names.
var principalTable = []decision{
	{"everybody", "alice", "", "", `{"Effect":"Allow","Principal":"*"}`, "", "", "allow: access 1"},
	{"everybody of AWS", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"*"}}`, "", "", "allow: access 1"},
	{"the user", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"@alice"}}`, "", "", "allow: access 1"},
	{"the user in a list", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":["@bob","@alice"]}}`, "", "", "allow: access 1"},
	{"the user with a path", "bob", "", "", `{"Effect":"Allow","Principal":{"AWS":"@bob"}}`, "", "", "allow: access 1"},
	{"the user without its path", "bob", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:user/bob"}}`, "", "", "deny"},
	{"the user in other case", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:user/Alice"}}`, "", "", "deny"},
	{"a user of the same name elsewhere", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@away:user/alice"}}`, "", "", "deny"},
	{"a role of the same name", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:role/alice"}}`, "", "", "deny"},
	{"another user", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"@bob"}}`, "", "", "deny"},
	{"the account leaves it to the account: a user is not allowed", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "deny"},
	{"nor by the ARN of its root", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":"@root"}}`, "", "", "deny"},
	{"nor a role", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "deny"},
	{"nor by the lock", "alice", "", "", "", `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "deny"},
	{"the account, and the user's own policy", "alice", "", allows, `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "allow: own 1"},
	{"the account, and its root", "root", "", "", `{"Effect":"Allow","Principal":{"AWS":"@home"}}`, "", "", "allow: root"},
	{"the account and the user", "alice", "", "", `{"Effect":"Allow","Principal":{"AWS":["@home","@alice"]}}`, "", "", "allow: access 1"},
	{"a denial of the account is one of its users", "alice", "", allows, `{"Effect":"Deny","Principal":{"AWS":"@home"}}`, "", "", "deny: access 1"},
	{"a denial of the root by its ARN is one of the account", "alice", "", allows, `{"Effect":"Deny","Principal":{"AWS":"@root"}}`, "", "", "deny: access 1"},
	{"a denial of the account is one of its roles", "nightly", "", allows, `{"Effect":"Deny","Principal":{"AWS":"@home"}}`, "", "", "deny: access 1"},
	{"a denial of the account is one of its root", "root", "", "", `{"Effect":"Deny","Principal":{"AWS":"@home"}}`, "", "", "deny: access 1"},
	{"a denial of a user is none of the root", "root", "", "", `{"Effect":"Deny","Principal":{"AWS":"@alice"}}`, "", "", "allow: root"},

	{"a session by its role", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"@backup"}}`, "", "", "allow: access 1"},
	{"a session by itself", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"@nightly"}}`, "", "", "allow: access 1"},
	{"another session of the role", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::@home:assumed-role/backup/weekly"}}`, "", "", "deny"},
	{"another role", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:role/restore"}}`, "", "", "deny"},
	{"a role without its path", "nightly", "", "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:role/backup"}}`, "", "", "deny"},
	{"a denial of the role", "nightly", "", allows, `{"Effect":"Deny","Principal":{"AWS":"@backup"}}`, "", "", "deny: access 1"},
	{"a denial of the session", "nightly", "", allows, `{"Effect":"Deny","Principal":{"AWS":"@nightly"}}`, "", "", "deny: access 1"},
	{"a denial of another session", "nightly", "", allows, `{"Effect":"Deny","Principal":{"AWS":"arn:aws:sts::@home:assumed-role/backup/weekly"}}`, "", "", "allow: own 1"},

	{"a service is nobody", "alice", "", "", `{"Effect":"Allow","Principal":{"Service":"glacier.amazonaws.com"}}`, "", "", "deny"},
	{"every service is nobody", "alice", "", "", `{"Effect":"Allow","Principal":{"Service":"*"}}`, "", "", "deny"},
	{"a federation is nobody", "alice", "", "", `{"Effect":"Allow","Principal":{"Federated":"@alice"}}`, "", "", "deny"},
	{"a canonical user is nobody", "alice", "", "", `{"Effect":"Allow","Principal":{"CanonicalUser":"@home"}}`, "", "", "deny"},
	{"a service and a user", "alice", "", "", `{"Effect":"Allow","Principal":{"Service":"s","AWS":"@alice"}}`, "", "", "allow: access 1"},
	{"a denial of a service", "root", "", "", `{"Effect":"Deny","Principal":{"Service":"*"}}`, "", "", "allow: root"},

	{"all but the user: the user", "alice", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@alice"}}`, "", "", "allow: own 1"},
	{"all but the user: another", "bob", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@alice"}}`, "", "", "deny: access 1"},
	{"all but the user: the root", "root", "", "", `{"Effect":"Deny","NotPrincipal":{"AWS":"@alice"}}`, "", "", "deny: access 1"},
	{"all but the user: another account", "owner", "", "", `[{"Effect":"Allow"},{"Effect":"Deny","NotPrincipal":{"AWS":"@alice"}}]`, "", "", "deny: access 2"},
	{"all but the root: the root", "root", "", "", `{"Effect":"Deny","NotPrincipal":{"AWS":"@root"}}`, "", "", "allow: root"},
	{"all but the account: the root", "root", "", "", `{"Effect":"Deny","NotPrincipal":{"AWS":"@home"}}`, "", "", "allow: root"},
	{"all but the root: a user", "alice", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@root"}}`, "", "", "deny: access 1"},
	{"all but the account: a role", "nightly", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@home"}}`, "", "", "deny: access 1"},
	{"all but the user and the root, as the guide advises: the user", "alice", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":["@alice","@root"]}}`, "", "", "allow: own 1"},
	{"all but the user and the root, as the guide advises: another", "bob", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":["@alice","@root"]}}`, "", "", "deny: access 1"},
	{"all but the role: its session", "nightly", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@backup"}}`, "", "", "allow: own 1"},
	{"all but the session: itself", "nightly", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"@nightly"}}`, "", "", "allow: own 1"},
	{"all but another session", "nightly", "", allows, `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:sts::@home:assumed-role/backup/weekly"}}`, "", "", "deny: access 1"},
	{"all but everybody", "alice", "", allows, `{"Effect":"Deny","NotPrincipal":"*"}`, "", "", "allow: own 1"},
	{"all but a service", "root", "", "", `{"Effect":"Deny","NotPrincipal":{"Service":"glacier.amazonaws.com"}}`, "", "", "deny: access 1"},
	{"allowed to all but another", "alice", "", "", `{"Effect":"Allow","NotPrincipal":{"AWS":"@bob"}}`, "", "", "allow: access 1"},
	{"allowed to all but the user", "alice", "", "", `{"Effect":"Allow","NotPrincipal":{"AWS":"@alice"}}`, "", "", "deny"},
	{"allowed to all but the account", "alice", "", "", `{"Effect":"Allow","NotPrincipal":{"AWS":"@home"}}`, "", "", "deny"},
	{"allowed to all but the account: another", "owner", "", "", `{"Effect":"Allow","NotPrincipal":{"AWS":"@home"}}`, "", "", "allow: access 1"},
}

// clockTable is about the two times at which a lock is looked at. The clock of the machine says now, the one that nobody sets says lock.
var clockTable = []decision{
	{"a lock until 2027, both before", "root", "", "", "", until2027, "now=2026-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock until 2027, the clock is put forward", "root", "", "", "", until2027, "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock until 2027, the clock is behind", "root", "", "", "", until2027, "now=2026-01-01T00:00:00Z lock=2030-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock until 2027, both after", "root", "", "", "", until2027, "now=2030-01-01T00:00:00Z lock=2030-01-01T00:00:00Z", "allow: root"},
	{"a lock from 2027, both before", "root", "", "", "", from2027, "now=2026-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "allow: root"},
	{"a lock from 2027, the clock is put back", "root", "", "", "", from2027, "now=2026-01-01T00:00:00Z lock=2027-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock from 2027, the clock is ahead", "root", "", "", "", from2027, "now=2027-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock in 2027, neither time in it", "root", "", "", "", in2027, "now=2026-01-01T00:00:00Z lock=2028-01-01T00:00:00Z", "allow: root"},
	{"a lock in 2027, one time in it", "root", "", "", "", in2027, "now=2026-01-01T00:00:00Z lock=2027-05-01T00:00:00Z", "deny: lock 1"},
	{"a lock by the epoch, the clock is put forward", "root", "", "", "", `{"Effect":"Deny","Condition":{"NumericLessThan":{"aws:EpochTime":1800000000}}}`, "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny: lock 1"},
	{"a lock by an old second factor, by lock time", "root", "", "", "", `{"Effect":"Deny","Condition":{"NumericGreaterThan":{"aws:MultiFactorAuthAge":60}}}`, "mfa=10 lock=2026-05-01T12:01:00Z", "deny: lock 1"},
	{"a statement of either time is found", "root", "", "", "", `[` + from2027 + `,` + until2027 + `]`, "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny: lock 1"},
	{"an access policy knows only now", "root", "", "", until2027, "", "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "allow: root"},
	{"a user's policy knows only now", "alice", "", `[{"Effect":"Allow"},` + until2027 + `]`, "", "", "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "allow: own 1"},
	{"a lock allows only now", "alice", "", "", "", `{"Effect":"Allow","Condition":{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}`, "now=2030-01-01T00:00:00Z lock=2026-01-01T00:00:00Z", "deny"},
	{"a lock allows now", "alice", "", "", "", `{"Effect":"Allow","Condition":{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}`, "now=2026-01-01T00:00:00Z lock=2030-01-01T00:00:00Z", "allow: lock 1"},
}

const (
	until2027 = `{"Effect":"Deny","Condition":{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}`
	from2027  = `{"Effect":"Deny","Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}`
	in2027    = `{"Effect":"Deny","Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2027-01-01"},"DateLessThan":{"aws:CurrentTime":"2028-01-01"}}}`
)
