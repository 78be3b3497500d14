# The aws CLI: a vault lock that keeps archives for a year, from its first try to the day on which it lets go.
source testdata/shell/expect.sh
vault='--account-id - --vault-name photos'
glacier create-vault $vault >/dev/null
echo evidence >"$HOME/data"
archive=$(glacier upload-archive $vault --body "$HOME/data" --query archiveId --output text)
cat >"$HOME/lock.json" <<END
{"Policy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"keep-for-a-year\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"glacier:DeleteArchive\",\"Resource\":\"arn:aws:glacier:$AWS_REGION:$MORAINE_ACCOUNT:vaults/photos\",\"Condition\":{\"NumericLessThan\":{\"glacier:ArchiveAgeInDays\":\"365\"}}}]}"}
END
policy="--policy file://$HOME/lock.json"
initiate() { glacier initiate-vault-lock $vault $policy --query lockId --output text; }
state() { glacier get-vault-lock $vault --query '[State,ExpirationDate]' --output text; }
held() {
	refused AccessDeniedException delete-archive $vault --archive-id="$archive"
	like "$said" '.*vault lock policy, statement "keep-for-a-year".*' "what delete-archive said"
}

refused ResourceNotFoundException get-vault-lock $vault
aborted=$(initiate)
like "$(state)" 'InProgress	[-0-9T:.]{23}Z' get-vault-lock
held
is "$(glacier abort-vault-lock $vault)" "" abort-vault-lock
lock=$(initiate)
like "$lock" '[A-Za-z0-9_][A-Za-z0-9_-]{23}' lockId
refused AccessDeniedException initiate-vault-lock $vault $policy
refused InvalidParameterValueException complete-vault-lock $vault --lock-id="$aborted"
is "$(glacier complete-vault-lock $vault --lock-id="$lock")" "" complete-vault-lock
is "$(state)" "Locked	None" get-vault-lock
refused AccessDeniedException abort-vault-lock $vault
refused AccessDeniedException complete-vault-lock $vault --lock-id="$aborted"
held
advance 8760h
is "$(glacier delete-archive $vault --archive-id="$archive")" "" "delete-archive after a year"
