# The aws CLI: tags of a vault, and a lock that looks at one.
source testdata/shell/expect.sh
vault='--account-id - --vault-name photos'
glacier create-vault $vault >/dev/null
echo evidence >"$HOME/data"
archive=$(glacier upload-archive $vault --body "$HOME/data" --query archiveId --output text)
tags() { glacier list-tags-for-vault $vault --query Tags --output json | tr -d ' \n'; }

is "$(tags)" "" "tags of a new vault" # for no members the CLI prints nothing
is "$(glacier add-tags-to-vault $vault --tags 'LegalHold=true,Team=Fotos und Briefe')" "" add-tags-to-vault
is "$(glacier add-tags-to-vault $vault --tags '{"Team": ""}')" "" add-tags-to-vault
is "$(tags)" '{"LegalHold":"true","Team":""}' list-tags-for-vault
refused InvalidParameterValueException add-tags-to-vault $vault --tags 'aws:x=1'
echo '{"Policy": "{\"Statement\":{\"Sid\":\"hold\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"glacier:DeleteArchive\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"glacier:ResourceTag/LegalHold\":\"true\"}}}}"}' >"$HOME/lock.json"
glacier initiate-vault-lock $vault --policy "file://$HOME/lock.json" >/dev/null
refused AccessDeniedException delete-archive $vault --archive-id="$archive"
is "$(glacier remove-tags-from-vault $vault --tag-keys LegalHold absent)" "" remove-tags-from-vault
is "$(tags)" '{"Team":""}' "list-tags-for-vault"
is "$(glacier delete-archive $vault --archive-id="$archive")" "" "delete-archive without the tag"
