package access

// Names of the predefined policies, which everybody has.
const (
	ReadOnlyAccess = "AmazonGlacierReadOnlyAccess"
	FullAccess     = "AmazonGlacierFullAccess"
)

// Predefined returns the document of a predefined policy.
func Predefined(name string) (document string, ok bool) {
	switch name {
	case ReadOnlyAccess:
		return `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["glacier:Describe*", "glacier:Get*", "glacier:List*"], "Resource": "*"}]}`, true
	case FullAccess:
		return `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "glacier:*", "Resource": "*"}]}`, true
	}
	return "", false
}
