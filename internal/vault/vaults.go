package vault

import (
	"context"
	"errors"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// CreateVault makes a vault. It does nothing if the vault exists.
func (s *Service) CreateVault(ctx context.Context, ref Ref) error {
	if !legalVaultName(ref.Name) {
		return fault.New(fault.Invalid, "Invalid vault name: %s", ref.Name)
	}
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		if _, err := tx.Vault(ref.Account, ref.Name); !errors.Is(err, catalogue.ErrNotFound) {
			return err
		}
		n, err := tx.CountVaults(ref.Account)
		if err != nil {
			return err
		}
		if n >= int64(s.settings.MaxVaults) {
			return fault.New(fault.LimitExceeded, "The account %s has %d vaults, which is the limit: %s was not created", ref.Account, n, ref.Name)
		}
		return tx.InsertVault(ref.Account, ref.Name, s.now())
	})
}

// DescribeVault returns the description of a vault.
func (s *Service) DescribeVault(ctx context.Context, ref Ref) (protocol.VaultDescription, error) {
	v, err := s.lookUp(ctx, ref)
	return s.describe(v), err
}

// describe shows a vault as it is now, or as it was at its last inventory.
func (s *Service) describe(v catalogue.Vault) protocol.VaultDescription {
	archives, size, at := v.Archives, v.Bytes, v.ChangedAt
	if s.settings.InventoryInterval > 0 {
		archives, size, at = v.InventoryArchives, v.InventoryBytes, v.InventoryAt
	}
	return protocol.VaultDescription{
		CreationDate:      timestamp(v.CreatedAt),
		LastInventoryDate: timestampOrNil(at),
		NumberOfArchives:  archives,
		SizeInBytes:       size + archives*s.settings.ArchiveOverhead,
		VaultARN:          s.ARN(Ref{v.AccountID, v.Name}),
		VaultName:         v.Name,
	}
}

// ListVaults lists the vaults of an account by name. The marker is the ARN of the last vault of the page before.
func (s *Service) ListVaults(ctx context.Context, account string, limit, marker *string) (protocol.VaultList, error) {
	list := protocol.VaultList{VaultList: []protocol.VaultDescription{}}
	size, err := pageSize(limit, s.settings.VaultPage)
	if err != nil {
		return list, err
	}
	after, err := s.vaultMarker(account, marker)
	if err != nil {
		return list, err
	}
	err = s.list(ctx, func(tx *catalogue.Tx) error {
		vaults, err := tx.Vaults(account, after, size+1)
		if err != nil {
			return err
		}
		vaults, more := page(vaults, size)
		for _, v := range vaults {
			list.VaultList = append(list.VaultList, s.describe(v))
		}
		if more {
			list.Marker = &list.VaultList[size-1].VaultARN
		}
		return nil
	})
	return list, err
}

// vaultMarker returns the name in a marker, which need not be that of a vault that exists.
func (s *Service) vaultMarker(account string, marker *string) (string, error) {
	if marker == nil || *marker == "" {
		return "", nil
	}
	name, ok := strings.CutPrefix(*marker, s.arnPrefix(account))
	if !ok || !legalName.MatchString(name) {
		return "", invalidMarker(*marker)
	}
	return name, nil
}

// DeleteVault removes a vault that holds no archive. It does nothing if there is no such vault. Open uploads and jobs go with it.
func (s *Service) DeleteVault(ctx context.Context, ref Ref) error {
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if fault.Is(err, fault.NotFound) && legalVaultName(ref.Name) {
			return nil // a name that no vault can have stays an error, as for every operation
		}
		if err != nil {
			return err
		}
		if err := s.permit(ctx, tx, ref, protocol.DeleteVault, ""); err != nil {
			return err
		}
		if !s.deletable(v) {
			return fault.New(fault.Invalid, "Vault not empty or recently written to: %s", s.ARN(ref))
		}
		return tx.DeleteVault(v.ID)
	})
	s.Poke()
	return err
}

// deletable is the rule of DeleteVault. With inventories at intervals the vault must have been empty at the last one, and
// not written to since; a live archive always forbids it.
func (s *Service) deletable(v catalogue.Vault) bool {
	if s.settings.InventoryInterval == 0 {
		return v.Archives == 0
	}
	return v.Archives == 0 && v.InventoryArchives == 0 && v.Changes == v.InventoryChange
}
