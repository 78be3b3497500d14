package access_test

import (
	"fmt"
	"log"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// A lock keeps archives for a year, from the root of the account too.
func ExampleDecide() {
	const vault = "arn:aws:glacier:us-east-1:111122223333:vaults/photos"
	lock, err := access.ParseVaultPolicy(`{
		"Version": "2012-10-17",
		"Statement": {
			"Sid": "keep-for-a-year",
			"Effect": "Deny",
			"Principal": "*",
			"Action": "glacier:DeleteArchive",
			"Resource": "arn:aws:glacier:us-east-1:111122223333:vaults/photos",
			"Condition": {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}}
		}
	}`, vault)
	if err != nil {
		log.Fatal(err)
	}
	deletion, _ := protocol.OperationNamed(protocol.DeleteArchive)
	for _, days := range []int64{364, 365} {
		d := access.Decide(access.Request{
			Caller:    access.Caller{Account: "111122223333", Kind: access.Root},
			Operation: deletion,
			Account:   "111122223333",
			Resource:  vault,
			Lock:      lock,
			Age:       &days,
		})
		fmt.Printf("%d days: allowed %t by the %s %s\n", days, d.Allowed, d.Policy, d.Statement)
	}
	// Output:
	// 364 days: allowed false by the vault lock policy "keep-for-a-year"
	// 365 days: allowed true by the root of the account
}
