# The aws CLI: users of two accounts, what they may do with a vault, and who they are.
source testdata/shell/expect.sh
vault="--account-id $MORAINE_ACCOUNT --vault-name photos"
arn=arn:aws:glacier:$AWS_REGION:$MORAINE_ACCOUNT:vaults/photos
identity() { aws --endpoint-url "$MORAINE_ENDPOINT" sts get-caller-identity --query '[Account,Arn,UserId]' --output text; }
is "$(identity)" "$MORAINE_ACCOUNT	arn:aws:iam::$MORAINE_ACCOUNT:root	$MORAINE_ACCOUNT" "the root's identity"

read -r number buyer <<<"$(moraine admin account add buyer --json | python -c 'import json, sys
k = json.load(sys.stdin); print(k["account_id"], k["access_key_id"], k["secret_access_key"])')"
alice=$(made user add alice --account "$MORAINE_ACCOUNT" --policy AmazonGlacierFullAccess)
bob=$(made user add bob --account buyer)
like "$(as "$bob" identity)" "$number	arn:aws:iam::$number:user/bob	AIDA[A-Z0-9]{16}" "a user's identity"

as "$alice" glacier create-vault $vault >/dev/null
echo x >"$HOME/data"
upload="upload-archive $vault --body $HOME/data"
rule() { # ACTION PRINCIPAL [MORE]: what the vault allows
	printf '{"Policy": "{\\"Statement\\":[{\\"Effect\\":\\"Allow\\",\\"Principal\\":{\\"AWS\\":\\"%s\\"},\\"Action\\":\\"glacier:%s\\",\\"Resource\\":\\"%s\\"}%s]}"}' "$2" "$1" "$arn" "${3-}" >"$HOME/rule.json"
	is "$(as "$alice" glacier set-vault-access-policy $vault --policy "file://$HOME/rule.json")" "" set-vault-access-policy
}
rule UploadArchive "arn:aws:iam::$number:root"
as "$bob" refused AccessDeniedException $upload
moraine admin user policy set bob AmazonGlacierFullAccess --account buyer >/dev/null
archive=$(as "$bob" glacier $upload --query archiveId --output text)
is "$(as "$buyer" glacier $upload --query 'starts_with(location, `/'"$MORAINE_ACCOUNT"'/`)')" true "location of an upload to another account"
as "$bob" refused AccessDeniedException delete-archive $vault --archive-id="$archive"
rule '*' '*' ',{\"Sid\":\"second-factor\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"glacier:DeleteArchive\",\"Resource\":\"*\",\"Condition\":{\"BoolIfExists\":{\"aws:MultiFactorAuthPresent\":false}}}'
without=$(made token --account "$MORAINE_ACCOUNT" --user alice)
as "$without" refused AccessDeniedException delete-archive $vault --archive-id="$archive"
like "$said" '.*explicit deny in the vault access policy, statement "second-factor"' "what was denied"
proved=$(made token --account "$MORAINE_ACCOUNT" --user alice --mfa)
is "$(as "$proved" glacier delete-archive $vault --archive-id="$archive")" "" "delete-archive with a second factor"

is "$(glacier get-vault-access-policy $vault --query 'policy.starts_with(Policy, `{\"Statement\":`)')" true get-vault-access-policy
is "$(glacier delete-vault-access-policy $vault)" "" delete-vault-access-policy
as "$bob" refused AccessDeniedException $upload
refused ResourceNotFoundException get-vault-access-policy $vault
moraine admin key disable "${bob%% *}" >/dev/null
as "$bob" refused UnrecognizedClientException list-vaults --account-id -
moraine admin role add restorer --account "$MORAINE_ACCOUNT" --policy AmazonGlacierReadOnlyAccess >/dev/null
session=$(made token --account "$MORAINE_ACCOUNT" --role restorer --session night)
like "$(as "$session" identity)" "$MORAINE_ACCOUNT	arn:aws:sts::$MORAINE_ACCOUNT:assumed-role/restorer/night	AROA[A-Z0-9]{16}:night" "the identity of a session"
