# The aws CLI: an archive in one request and in parts, retrieved whole and in ranges, and the inventory.
source testdata/shell/expect.sh
vault='--account-id - --vault-name photos'
glacier create-vault $vault >/dev/null

python -c 'from expect import *; open("'"$HOME"'/data", "wb").write(pattern(3 * MIB + 7))'
hash() { python -c 'import sys; from expect import *; print(tree_hash(open(sys.argv[1], "rb").read()))' "$1"; }
tree=$(hash "$HOME/data")

read -r one checksum location <<<"$(glacier upload-archive $vault --archive-description 'a "b"  c' --body "$HOME/data" \
	--query '[archiveId,checksum,location]' --output text)"
like "$one" '[A-Za-z0-9_][A-Za-z0-9_-]{137}' archiveId
is "$checksum" "$tree" "checksum of upload-archive"
is "$location" "/$MORAINE_ACCOUNT/vaults/photos/archives/$one" "location of upload-archive"
refused InvalidParameterValueException upload-archive $vault --body "$HOME/data" --checksum "${tree//[0-9]/0}"
refused ResourceNotFoundException upload-archive --account-id - --vault-name absent --body "$HOME/data"

upload=$(glacier initiate-multipart-upload $vault --part-size 1048576 --query uploadId --output text)
split -b 1048576 -a 1 "$HOME/data" "$HOME/part" # parta to partd
first=0
for part in "$HOME"/part?; do
	last=$((first + $(wc -c <"$part") - 1))
	is "$(glacier upload-multipart-part $vault --upload-id="$upload" --body "$part" --range "bytes $first-$last/*" --output text)" \
		"$(hash "$part")" "checksum of $part"
	first=$((last + 1))
done
is "$(glacier list-parts $vault --upload-id="$upload" --query 'Parts[].RangeInBytes' --output text | tr '\n' '\t')" \
	"0-1048575	1048576-2097151	2097152-3145727	3145728-3145734	" list-parts
is "$(glacier list-multipart-uploads $vault --query 'UploadsList[].[MultipartUploadId,PartSizeInBytes]' --output text)" "$upload	1048576" list-multipart-uploads
refused InvalidParameterValueException complete-multipart-upload $vault --upload-id="$upload" --archive-size 1 --checksum "$tree"
two=$(glacier complete-multipart-upload $vault --upload-id="$upload" --archive-size 3145735 --checksum "$tree" --query archiveId --output text)
upload=$(glacier initiate-multipart-upload $vault --part-size 1048576 --query uploadId --output text)
is "$(glacier abort-multipart-upload $vault --upload-id="$upload")" "" abort-multipart-upload
refused ResourceNotFoundException list-parts $vault --upload-id="$upload"

initiate() { glacier initiate-job $vault --job-parameters "$1" --query jobId --output text; }
job=$(initiate '{"Type":"archive-retrieval","ArchiveId":"'"$two"'","Tier":"Bulk","Description":"back"}')
finished photos "$job"
is "$(glacier describe-job $vault --job-id="$job" --query '[Action,StatusCode,Tier,JobDescription,SHA256TreeHash]' --output text)" \
	"ArchiveRetrieval	Succeeded	Bulk	back	$tree" describe-job
is "$(glacier get-job-output $vault --job-id="$job" "$HOME/back" --query '[status,checksum,contentType]' --output text)" \
	"200	$tree	application/octet-stream" get-job-output
cmp "$HOME/data" "$HOME/back"
is "$(glacier get-job-output $vault --job-id="$job" --range bytes=1048576-2097151 "$HOME/back" --query '[status,checksum,contentRange]' --output text)" \
	"206	$(hash "$HOME/partb")	bytes 1048576-2097151/3145735" "get-job-output --range"
cmp "$HOME/partb" "$HOME/back"
refused InvalidParameterValueException get-job-output $vault --job-id="$job" --range bytes=3145735- "$HOME/back"

inventory=$(initiate '{"Type":"inventory-retrieval","Format":"CSV"}')
finished photos "$inventory"
is "$(glacier get-job-output $vault --job-id="$inventory" "$HOME/inventory" --query '[contentType,checksum]' --output text)" "text/csv	None" "get-job-output"
is "$(head -n 1 "$HOME/inventory")" ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash "head of the inventory"
like "$(sed -n 2p "$HOME/inventory")" "$one"',"a \\"b\\"  c",[-0-9T:]{19}Z,3145735,'"$tree" "first line of the inventory"
like "$(sed -n 3p "$HOME/inventory")" "$two"',("")?,[-0-9T:]{19}Z,3145735,'"$tree" "second line of the inventory"
is "$(glacier list-jobs $vault --completed true --statuscode Succeeded --query 'JobList[].JobId' --output text)" "$inventory	$job" list-jobs

for a in "$one" "$two"; do
	is "$(glacier delete-archive $vault --archive-id="$a")" "" delete-archive
done
glacier delete-vault $vault
