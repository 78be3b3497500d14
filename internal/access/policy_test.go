package access_test

import (
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/access"
)

// parseBoth reads a document as the policy of a user and as one of a vault.
var parseBoth = map[string]func(string) (*access.Policy, error){ // read only
	"user":  access.ParseIdentityPolicy,
	"vault": func(text string) (*access.Policy, error) { return access.ParseVaultPolicy(text, photos) },
}

// invalid are documents that cannot be used, whose policies they cannot be, and where and why.
var invalid = []struct{ whose, text, want string }{
	{"both", ``, `the document: it is not JSON: unexpected EOF`},
	{"both", ` `, `the document: it is not JSON: unexpected EOF`},
	{"both", `x`, `the document: it is not JSON: invalid character 'x' looking for beginning of value`},
	{"both", `nul`, `the document: it is not JSON: unexpected EOF`},
	{"both", `{`, `the document: it is not JSON: EOF`},
	{"both", `{"Version"`, `Version: it is not JSON: unexpected EOF`},
	{"both", `{"Version":`, `Version: it is not JSON: unexpected EOF`},
	{"both", `{"Version":"2012-10-17"`, `the document: it is not JSON: EOF`},
	{"both", `{"Version":"2012-10-17",}`, `the document: it is not JSON: a name is missing: invalid character '}' looking for beginning of object key string`},
	{"both", `{1:2}`, `the document: it is not JSON: a name is missing: invalid character '1'`},
	{"both", `{"Statement":[`, `Statement: it is not JSON: EOF`},
	{"both", `{"Statement":[{}`, `Statement: it is not JSON: EOF`},
	{"both", `{"Statement":[{},]}`, `Statement[1]: it is not JSON: invalid character ']' looking for beginning of value`},
	{"both", `{"Statement":[{}}`, `Statement: it is not JSON: invalid character '}' after array element`},
	{"both", `{"Statement":{"Effect":"Allow"]}`, `Statement: it is not JSON: invalid character ']' after object key:value pair`},
	{"both", `{"Statement":"\x"}`, `Statement: it is not JSON: invalid character 'x' in string escape code`},
	{"both", `{} {}`, `the document: there is more after the end of the JSON object`},
	{"both", `{}]`, `the document: there is more after the end of the JSON object`},
	{"both", `{"Statement":[[[[[[[[[[[[[[[[[[[[`, `Statement[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: it is nested too deep`},
	{"both", `null`, `the document: it has to be an object`},
	{"both", `[]`, `the document: it has to be an object`},
	{"both", `"Allow"`, `the document: it has to be an object`},
	{"both", `{}`, `the document: it is empty`},
	{"both", `{"Version":"2012-10-17","Version":"2008-10-17"}`, `the document: it has "Version" twice`},
	{"both", `{"Statement":{"Effect":"Deny","Effect":"Allow"}}`, `Statement: it has "Effect" twice`},
	{"both", `{"Statement":[{"Effect":"Deny","Condition":{"Bool":{"aws:SecureTransport":true},"Bool":{}}}]}`, `Statement[0].Condition: it has "Bool" twice`},
	{"both", `{"Statement":{"Effect":"Deny","Condition":{"Bool":{"aws:SecureTransport":true,"aws:SecureTransport":false}}}}`, `Statement.Condition.Bool: it has "aws:SecureTransport" twice`},
	{"user", `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true,"aws:securetransport":false}}}}`, `Statement.Condition.Bool: it has "aws:securetransport" twice, in different spellings`},
	{"both", `{"Version":"2012-10-17"}`, `the document: it has no Statement`},
	{"both", `{"version":"2012-10-17","Statement":{"Effect":"Allow"}}`, `version: there is no such element here; there are Version, Id, Statement`},
	{"both", `{"Statement":{"Effect":"Allow"},"Comment":"x"}`, `Comment: there is no such element here; there are Version, Id, Statement`},
	{"both", `{"Version":"2012-10-18","Statement":{"Effect":"Allow"}}`, `Version: "2012-10-18" is neither 2012-10-17 nor 2008-10-17`},
	{"both", `{"Version":"","Statement":{"Effect":"Allow"}}`, `Version: "" is neither 2012-10-17 nor 2008-10-17`},
	{"both", `{"Version":2012,"Statement":{"Effect":"Allow"}}`, `Version: it has to be a string`},
	{"both", `{"Version":null,"Statement":{"Effect":"Allow"}}`, `Version: it has to be a string`},
	{"both", `{"Id":1,"Statement":{"Effect":"Allow"}}`, `Id: it has to be a string`},
	{"both", `{"Version":1,"Id":1,"Statement":{"Effect":"Allow"}}`, `Version: it has to be a string`},
	{"both", `{"Statement":[]}`, `Statement: the list is empty`},
	{"both", `{"Statement":null}`, `Statement: it has to be an object`},
	{"both", `{"Statement":"Allow"}`, `Statement: it has to be an object`},
	{"both", `{"Statement":{}}`, `Statement: it is empty`},
	{"both", `{"Statement":[{}]}`, `Statement[0]: it is empty`},
	{"both", `{"Statement":[[]]}`, `Statement[0]: it has to be an object`},
	{"both", `{"Statement":[{"Effect":"Allow","Action":"glacier:*","Resource":"*","Principle":"*"}]}`, `Statement[0].Principle: there is no such element here; there are Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition`},
	{"both", `{"Statement":[{"Effect":"Allow","action":"glacier:*"}]}`, `Statement[0].action: there is no such element here; there are Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition`},
	{"both", `{"Statement":{"Sid":1,"Effect":"Allow"}}`, `Statement.Sid: it has to be a string`},
	{"both", `{"Statement":{"Sid":"a"}}`, `Statement: it has no Effect`},
	{"both", `{"Statement":{"Effect":"allow"}}`, `Statement.Effect: it is neither "Allow" nor "Deny"`},
	{"both", `{"Statement":{"Effect":null}}`, `Statement.Effect: it is neither "Allow" nor "Deny"`},
	{"both", `{"Statement":{"Effect":["Allow"]}}`, `Statement.Effect: it is neither "Allow" nor "Deny"`},
	{"user", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*"}}`, `Statement.Principal: the policy of a user or role speaks of nobody else`},
	{"user", `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"glacier:*","Resource":"*"}}`, `Statement.NotPrincipal: the policy of a user or role speaks of nobody else`},
	{"vault", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"*"}}`, `Statement: it has to have either Principal or NotPrincipal`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","NotPrincipal":"*","Action":"glacier:*","Resource":"*"}}`, `Statement: it has to have either Principal or NotPrincipal`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":"@alice"}]}`, `Statement[0].Principal: it has to be "*" or an object like {"AWS": "arn:aws:iam::123456789012:user/alice"}`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":""}]}`, `Statement[0].Principal: it has to be "*" or an object like {"AWS": "arn:aws:iam::123456789012:user/alice"}`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":["*"]}]}`, `Statement[0].Principal: it has to be an object`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":null}]}`, `Statement[0].Principal: it has to be an object`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{}}]}`, `Statement[0].Principal: it is empty`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"aws":"*"}}]}`, `Statement[0].Principal.aws: there is no such element here; there are AWS, Service, Federated, CanonicalUser`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":[]}}]}`, `Statement[0].Principal.AWS: the list is empty`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":1}}]}`, `Statement[0].Principal.AWS: it has to be a string`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":123456789012}}]}`, `Statement[0].Principal.AWS: it has to be a string`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*",[]]}}]}`, `Statement[0].Principal.AWS[1]: it has to be a string`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"Service":{}}}]}`, `Statement[0].Principal.Service: it has to be a string`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"11112222333"}}]}`, `Statement[0].Principal.AWS: "11112222333" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"1111222233334"}}]}`, `Statement[0].Principal.AWS: "1111222233334" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":["@alice","1111-2222-3333"]}}]}`, `Statement[0].NotPrincipal.AWS[1]: "1111-2222-3333" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:user/*"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:user/*" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:user/alic?"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:user/alic?" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::*:root"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::*:root" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:user/"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:user/" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:group/a"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:group/a" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:assumed-role/a/b"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:assumed-role/a/b" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::@home:root\n"}}]}`, `Statement[0].Principal.AWS: "arn:aws:iam::@home:root\n" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":""}}]}`, `Statement[0].Principal.AWS: "" is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role`},
	{"user", `{"Statement":{"Effect":"Allow","Resource":"*"}}`, `Statement: it has to have either Action or NotAction`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","NotAction":"glacier:*","Resource":"*"}}`, `Statement: it has to have either Action or NotAction`},
	{"user", `{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, `Statement.Action: the list is empty`},
	{"user", `{"Statement":{"Effect":"Allow","Action":1,"Resource":"*"}}`, `Statement.Action: it has to be a string`},
	{"user", `{"Statement":{"Effect":"Allow","Action":["glacier:*",null],"Resource":"*"}}`, `Statement.Action[1]: it has to be a string`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"","Resource":"*"}}`, `Statement.Action: "" is not an action like glacier:UploadArchive`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"DeleteArchive","Resource":"*"}}`, `Statement.Action: "DeleteArchive" is not an action like glacier:UploadArchive`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:","Resource":"*"}}`, `Statement.Action: "glacier:" is not an action like glacier:UploadArchive`},
	{"user", `{"Statement":{"Effect":"Allow","NotAction":[":DeleteArchive"],"Resource":"*"}}`, `Statement.NotAction[0]: ":DeleteArchive" is not an action like glacier:UploadArchive`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"**","Resource":"*"}}`, `Statement.Action: "**" is not an action like glacier:UploadArchive`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:Explode","Resource":"*"}}`, `Statement.Action: "glacier:Explode" is no action of this service`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":["glacier:ListJobs","s3:*"],"Resource":"*"}}`, `Statement.Action[1]: "s3:*" is no action of this service`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","NotAction":"glacier:Explode*","Resource":"*"}}`, `Statement.NotAction: "glacier:Explode*" is no action of this service`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:CreateVault","Resource":"*"}}`, `Statement.Action: "glacier:CreateVault" can only be allowed or denied in the policies of users: it is not done to a vault`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:listvaults","Resource":"*"}}`, `Statement.Action: "glacier:listvaults" can only be allowed or denied in the policies of users: it is not done to a vault`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*ProvisionedCapacity","Resource":"*"}}`, `Statement.Action: "glacier:*ProvisionedCapacity" can only be allowed or denied in the policies of users: it is not done to a vault`},
	{"vault", `{"Statement":{"Effect":"Deny","Principal":"*","NotAction":"glacier:GetDataRetrievalPolicy","Resource":"*"}}`, `Statement.NotAction: "glacier:GetDataRetrievalPolicy" can only be allowed or denied in the policies of users: it is not done to a vault`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*"}}`, `Statement: it has to have either Resource or NotResource`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"*","NotResource":"*"}}`, `Statement: it has to have either Resource or NotResource`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":[]}}`, `Statement.Resource: the list is empty`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":{}}}`, `Statement.Resource: it has to be a string`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":["*",""]}}`, `Statement.Resource[1]: "" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"photos"}}`, `Statement.Resource: "photos" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"glacier:*","NotResource":"arn:aws:glacier:us-east-1:@home"}}`, `Statement.NotResource: "arn:aws:glacier:us-east-1:@home" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
	{"user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/${aws:username"}}`, `Statement.Resource: "${" has no "}" after it`},
	{"user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/${username}"}}`, `Statement.Resource: the variable ${username} does not name a condition key, like ${aws:username}`},
	{"user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/${}"}}`, `Statement.Resource: the variable ${} does not name a condition key, like ${aws:username}`},
	{"user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/${aws:username, x}"}}`, `Statement.Resource: the default value in ${aws:username, x} is not in single quotes`},
	{"user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/${aws:username,'}"}}`, `Statement.Resource: the default value in ${aws:username,'} is not in single quotes`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"@vaults/films"}}`, `Statement.Resource: "@vaults/films" is not this vault, which is @photos`},
	{"vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":["@photos","@vaults/Photos"]}}`, `Statement.Resource[1]: "@vaults/Photos" is not this vault, which is @photos`},
	{"vault", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"@vaults/${aws:username}s2"}}`, `Statement.Resource: "@vaults/${aws:username}s2" is not this vault, which is @photos`},
	{"vault", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"@vaults/${aws:username}"}}`, `Statement.Resource: "@vaults/${aws:username}" is not this vault, which is @photos`},
	{"user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"${glacier:ResourceTag/days}"}}}}`, `Statement.Condition.NumericLessThan.glacier:ArchiveAgeInDays: "${glacier:ResourceTag/days}" is not a number`},
}

// invalidConditions are wrong in the element Condition of any policy.
var invalidConditions = []struct{ text, want string }{
	{`[]`, `: it has to be an object`},
	{`null`, `: it has to be an object`},
	{`"x"`, `: it has to be an object`},
	{`{"StringIs":{"aws:username":"a"}}`, `.StringIs: there is no condition operator "StringIs"`},
	{`{"stringequals":{"aws:username":"a"}}`, `.stringequals: there is no condition operator "stringequals"`},
	{`{"":{"aws:username":"a"}}`, `.: there is no condition operator ""`},
	{`{"BinaryEquals":{"aws:username":"a"}}`, `.BinaryEquals: there is no condition operator "BinaryEquals"`},
	{`{"NumericNotLessThan":{"glacier:ArchiveAgeInDays":1}}`, `.NumericNotLessThan: there is no condition operator "NumericNotLessThan"`},
	{`{"StringEqualsIfExistsIfExists":{"aws:username":"a"}}`, `.StringEqualsIfExistsIfExists: there is no condition operator "StringEqualsIfExistsIfExists"`},
	{`{"IfExistsStringEquals":{"aws:username":"a"}}`, `.IfExistsStringEquals: there is no condition operator "IfExistsStringEquals"`},
	{`{"ForSomeValues:StringEquals":{"aws:username":"a"}}`, `.ForSomeValues:StringEquals: there is no condition operator "ForSomeValues:StringEquals"`},
	{`{"ForAnyValue:ForAnyValue:StringEquals":{"aws:username":"a"}}`, `.ForAnyValue:ForAnyValue:StringEquals: there is no condition operator "ForAnyValue:ForAnyValue:StringEquals"`},
	{`{"ForAllValues:ForAnyValue:StringEquals":{"aws:username":"a"}}`, `.ForAllValues:ForAnyValue:StringEquals: there is no condition operator "ForAllValues:ForAnyValue:StringEquals"`},
	{`{"ForAnyValue:ForAllValues:StringEquals":{"aws:username":"a"}}`, `.ForAnyValue:ForAllValues:StringEquals: there is no condition operator "ForAnyValue:ForAllValues:StringEquals"`},
	{`{"ForAnyValue:":{"aws:username":"a"}}`, `.ForAnyValue:: there is no condition operator "ForAnyValue:"`},
	{`{"NullIfExists":{"aws:username":true}}`, `.NullIfExists: there is no condition operator "NullIfExists"`},
	{`{"ForAllValues:Null":{"aws:username":true}}`, `.ForAllValues:Null: there is no condition operator "ForAllValues:Null"`},
	{`{"StringEquals":"a"}`, `.StringEquals: it has to be an object`},
	{`{"StringEquals":{}}`, `.StringEquals: it is empty`},
	{`{"StringEquals":["aws:username","a"]}`, `.StringEquals: it has to be an object`},
	{`{"StringEquals":{"username":"a"}}`, `.StringEquals.username: "username" is not a condition key like aws:SourceIp`},
	{`{"StringEquals":{"":"a"}}`, `.StringEquals.: "" is not a condition key like aws:SourceIp`},
	{`{"StringEquals":{"aws:":"a"}}`, `.StringEquals.aws:: "aws:" is not a condition key like aws:SourceIp`},
	{`{"StringEquals":{"aws:user name":"a"}}`, `.StringEquals.aws:user name: "aws:user name" is not a condition key like aws:SourceIp`},
	{`{"StringEquals":{"aws:PrincipalTag/":"a"}}`, `.StringEquals.aws:PrincipalTag/: "aws:PrincipalTag/" is not a condition key like aws:SourceIp`},
	{`{"StringEquals":{"glacier:VaultName":"a"}}`, `.StringEquals.glacier:VaultName: "glacier:VaultName" is no condition key of this service; there are glacier:ArchiveAgeInDays and glacier:ResourceTag/{key}`},
	{`{"StringEquals":{"glacier:ResourceTag":"a"}}`, `.StringEquals.glacier:ResourceTag: "glacier:ResourceTag" is no condition key of this service; there are glacier:ArchiveAgeInDays and glacier:ResourceTag/{key}`},
	{`{"StringEquals":{"Glacier:ArchiveAge":"a"}}`, `.StringEquals.Glacier:ArchiveAge: "Glacier:ArchiveAge" is no condition key of this service; there are glacier:ArchiveAgeInDays and glacier:ResourceTag/{key}`},
	{`{"StringEquals":{"aws:username":[]}}`, `.StringEquals.aws:username: the list is empty`},
	{`{"StringEquals":{"aws:username":null}}`, `.StringEquals.aws:username: it has to be a string, a number, or true or false`},
	{`{"StringEquals":{"aws:username":["a",{}]}}`, `.StringEquals.aws:username[1]: it has to be a string, a number, or true or false`},
	{`{"StringEquals":{"aws:username":[["a"]]}}`, `.StringEquals.aws:username[0]: it has to be a string, a number, or true or false`},
	{`{"StringEquals":{"aws:username":"${aws:userid"}}`, `.StringEquals.aws:username: "${" has no "}" after it`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"a year"}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "a year" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":true}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "true" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":""}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"0x10"}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "0x10" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"1."}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "1." is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":" 1"}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: " 1" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"NaN"}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "NaN" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"1_000"}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "1_000" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":1e999}}`, `.NumericLessThan.glacier:ArchiveAgeInDays: "1e999" is not a number`},
	{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":[365,"x"]}}`, `.NumericLessThan.glacier:ArchiveAgeInDays[1]: "x" is not a number`},
	{`{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`, `.DateLessThan.aws:CurrentTime: "tomorrow" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":"2026-02-30"}}`, `.DateLessThan.aws:CurrentTime: "2026-02-30" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":"2026-05-01T00:00:00"}}`, `.DateLessThan.aws:CurrentTime: "2026-05-01T00:00:00" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":"01.05.2026"}}`, `.DateLessThan.aws:CurrentTime: "01.05.2026" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":-1}}`, `.DateLessThan.aws:CurrentTime: "-1" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":100000000001}}`, `.DateLessThan.aws:CurrentTime: "100000000001" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"DateLessThan":{"aws:CurrentTime":1e12}}`, `.DateLessThan.aws:CurrentTime: "1e12" is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970`},
	{`{"Bool":{"aws:SecureTransport":"yes"}}`, `.Bool.aws:SecureTransport: "yes" is neither true nor false`},
	{`{"Bool":{"aws:SecureTransport":1}}`, `.Bool.aws:SecureTransport: "1" is neither true nor false`},
	{`{"Null":{"aws:username":"null"}}`, `.Null.aws:username: "null" is neither true nor false`},
	{`{"IpAddress":{"aws:SourceIp":"office"}}`, `.IpAddress.aws:SourceIp: "office" is neither an IP address nor a range like 203.0.113.0/24`},
	{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/33"}}`, `.IpAddress.aws:SourceIp: "203.0.113.0/33" is neither an IP address nor a range like 203.0.113.0/24`},
	{`{"IpAddress":{"aws:SourceIp":"203.0.113.*"}}`, `.IpAddress.aws:SourceIp: "203.0.113.*" is neither an IP address nor a range like 203.0.113.0/24`},
	{`{"IpAddress":{"aws:SourceIp":"203.0.113"}}`, `.IpAddress.aws:SourceIp: "203.0.113" is neither an IP address nor a range like 203.0.113.0/24`},
	{`{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24",""]}}`, `.NotIpAddress.aws:SourceIp[1]: "" is neither an IP address nor a range like 203.0.113.0/24`},
	{`{"ArnLike":{"aws:PrincipalArn":"alice"}}`, `.ArnLike.aws:PrincipalArn: "alice" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
	{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::@home"}}`, `.ArnLike.aws:PrincipalArn: "arn:aws:iam::@home" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
	{`{"ArnNotEquals":{"aws:PrincipalArn":"**"}}`, `.ArnNotEquals.aws:PrincipalArn: "**" is not an ARN: an ARN has six parts, like arn:aws:iam::123456789012:user/alice`},
}

func TestInvalid(t *testing.T) {
	for _, test := range invalid {
		for whose := range parseBoth {
			if test.whose == whose || test.whose == "both" {
				isInvalid(t, whose, test.text, test.want)
			}
		}
	}
	for _, test := range invalidConditions {
		rest := `"Effect":"Deny","Action":"glacier:*","Resource":"*","Condition":` + test.text
		isInvalid(t, "user", `{"Version":"2012-10-17","Statement":{`+rest+`}}`, "Statement.Condition"+test.want)
		isInvalid(t, "vault", `{"Version":"2012-10-17","Statement":[{"Principal":"*",`+rest+`}]}`, "Statement[0].Condition"+test.want)
	}
	t.Logf("%d invalid documents", len(invalid)+len(invalidConditions))
}

// isInvalid reads a document many times: the error is always the same.
func isInvalid(t *testing.T, whose, text, want string) {
	t.Helper()
	for range 10 {
		p, err := parseBoth[whose](short.Replace(text))
		if err == nil {
			t.Errorf("%s, a policy of a %s, is valid", text, whose)
		} else if err.Error() != short.Replace(want) {
			t.Errorf("%s, a policy of a %s:\n%v\nwant\n%s", text, whose, err, short.Replace(want))
		}
		if p != nil {
			t.Errorf("%s, a policy of a %s: there is one beside the error", text, whose)
		}
		if t.Failed() {
			return
		}
	}
}

// valid are documents that may look wrong, and whose policies they can be.
var valid = []struct{ name, whose, text string }{
	{"white space", "user", " \t\r\n{ \"Statement\" : { \"Effect\" : \"Allow\" , \"Action\" : \"*\" , \"Resource\" : \"*\" } } \n"},
	{"an order of its own", "user", `{"Statement":{"Resource":"*","Action":"*","Effect":"Allow"},"Version":"2012-10-17","Id":""}`},
	{"an escaped name", "user", `{"\u0053tatement":{"Effect":"\u0041llow","Action":"*","Resource":"*"}}`},
	{"a Sid like no other", "user", `{"Statement":{"Sid":"ä \" \n","Effect":"Allow","Action":"*","Resource":"*"}}`},
	{"two statements of one Sid", "user", `{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]}`},
	{"no conditions", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}}`},
	{"lists of one", "vault", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["*"],"Resource":["*"],"Condition":{"Bool":{"aws:SecureTransport":[true]}}}]}`},
	{"one twice", "vault", `{"Statement":{"Effect":"Allow","Principal":{"AWS":["@home","@root"]},"Action":["*","*"],"Resource":["*","*"]}}`},
	{"a key that nobody knows", "vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"x","saml:aud":"y"}}}}`},
	{"an action that nobody knows", "user", `{"Statement":{"Effect":"Allow","Action":["glacier:Explode","s3:*"],"Resource":"*"}}`},
	{"actions of vaults and others", "vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":["glacier:*","glacier:List*","*:*","glacier:*Vault"],"Resource":"*"}}`},
	{"a resource that nobody has", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::bucket/*"}}`},
	{"a resource that is not this vault, left out", "vault", `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","NotResource":"@vaults/films"}}`},
	{"a resource named after whoever asks", "vault", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"@vaults/${aws:username}"}}`},
	{"a resource whose default is another", "vault", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"@vaults/${aws:username, 'films'}"}}`},
	{"a resource of wildcards", "vault", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:*:*:*:*:*"}}`},
	{"a brace that does not close, without variables", "user", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"@vaults/${aws:username"}}`},
	{"a brace that does not open", "user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"@vaults/$aws:username}"}}`},
	{"a number that a variable stands for", "user", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"${glacier:ResourceTag/a}"}}}}`},
	{"principals of every kind", "vault", `{"Statement":{"Effect":"Allow","Principal":{"AWS":["*","@home","@root","@alice","@bob","@backup","@nightly"],"Service":"s","Federated":["f"],"CanonicalUser":""},"Action":"*","Resource":"*"}}`},
	{"an empty value", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"glacier:ResourceTag/a":""}}}}`},
	{"a tag with a slash and a space", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"glacier:ResourceTag/a b/c":"x"}}}}`},
	{"a prefix and a suffix", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringLikeIfExists":{"aws:username":"a*"}}}}`},
	{"every form of a date", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":["2026","2026-05","2026-05-01","2026-05-01T00:00Z","2026-05-01T00:00:00Z","2026-05-01T00:00:00.5+01:00","0",1e9,1777636800.5,100000000000]}}}}`},
	{"every form of a number", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"glacier:ArchiveAgeInDays":[0,-1,1.5,1e3,"+1","1E-3","007"]}}}}`},
	{"every form of an address", "user", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.1","192.0.2.1/24","0.0.0.0/0","::1","2001:db8::/32","::ffff:192.0.2.1","::ffff:192.0.2.0/120"]}}}}`},
}

func TestValid(t *testing.T) {
	for _, test := range valid {
		if _, err := parseBoth[test.whose](short.Replace(test.text)); err != nil {
			t.Errorf("%s, as a policy of a %s: %v", test.name, test.whose, err)
		}
	}
}

// TestDepth sees to it that what is nested deeply costs no more than an error.
func TestDepth(t *testing.T) {
	for _, opening := range []string{"[", `{"a":`, `{"Statement":[`} {
		for whose, parse := range parseBoth {
			if _, err := parse(strings.Repeat(opening, 20_000/len(opening))); err == nil {
				t.Errorf("20 KB of %s are a policy of a %s", opening, whose)
			}
		}
	}
}
