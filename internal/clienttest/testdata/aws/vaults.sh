# The aws CLI: vaults, their notifications, their pages, and waiting for them.
source testdata/shell/expect.sh
arn=arn:aws:glacier:$AWS_REGION:$MORAINE_ACCOUNT:vaults
id='--account-id -'

is "$(glacier list-vaults $id --query 'length(VaultList)')" 0 "the vaults of a new account"
for v in photos letters tapes; do
	is "$(glacier create-vault $id --vault-name $v --output text)" "/$MORAINE_ACCOUNT/vaults/$v" "create-vault $v"
done
is "$(glacier describe-vault --account-id "$MORAINE_ACCOUNT" --vault-name photos --output text --query '[VaultARN,VaultName,NumberOfArchives,SizeInBytes,LastInventoryDate]')" \
	"$arn/photos	photos	0	0	None" "describe-vault"
glacier wait vault-exists $id --vault-name photos
glacier wait vault-not-exists $id --vault-name absent

# The CLI follows markers by itself; the server has pages of two.
is "$(glacier list-vaults $id --query 'VaultList[].VaultName' --output text | tr '\n' '\t')" "letters	photos	tapes	" "list-vaults"
is "$(glacier list-vaults $id --no-paginate --query '[length(VaultList),Marker]' --output text)" "2	$arn/photos" "list-vaults --no-paginate"
token=$(glacier list-vaults $id --max-items 1 --query NextToken | tr -d '"')
is "$(glacier list-vaults $id --starting-token "$token" --page-size 1 --query 'VaultList[].VaultName' --output text | tr '\n' '\t')" "photos	tapes	" \
	"list-vaults --starting-token"

config='{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:done","Events":["ArchiveRetrievalCompleted"]}'
refused ResourceNotFoundException get-vault-notifications $id --vault-name photos
is "$(glacier set-vault-notifications $id --vault-name photos --vault-notification-config "$config")" "" "set-vault-notifications"
is "$(glacier get-vault-notifications $id --vault-name photos --query 'vaultNotificationConfig.[SNSTopic,Events[0]]' --output text)" \
	"arn:aws:sns:us-east-1:123456789012:done	ArchiveRetrievalCompleted" "get-vault-notifications"
is "$(glacier delete-vault-notifications $id --vault-name photos)" "" "delete-vault-notifications"
refused ResourceNotFoundException get-vault-notifications $id --vault-name photos

for v in photos letters tapes; do
	is "$(glacier delete-vault $id --vault-name $v)" "" "delete-vault $v"
done
glacier wait vault-not-exists $id --vault-name photos
refused ResourceNotFoundException describe-vault $id --vault-name photos
refused InvalidParameterValueException create-vault $id --vault-name 'two parts'
refused AccessDeniedException list-vaults --account-id "$MORAINE_OTHER_ACCOUNT"
AWS_SECRET_ACCESS_KEY=wrong refused InvalidSignatureException list-vaults $id
AWS_ACCESS_KEY_ID=wrong refused UnrecognizedClientException list-vaults $id
