// Google's go-sev-guest over directories that emulated_report wrote: report format, certificate extensions, TCB and
// signature. Its chain check is not asked: it wants AMD's own names and roots.
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify"
)

func checkExtensions(leaf *x509.Certificate, signer abi.ReportSigner, tcb uint64, chip []byte) error {
	parse := kds.VcekCertificateExtensions
	if signer == abi.VlekReportSigner {
		parse = kds.VlekCertificateExtensions
	}
	found, err := parse(leaf)
	if err != nil {
		return err
	}
	if uint64(found.TCBVersion) != tcb {
		return fmt.Errorf("TCB %x in the certificate, %x in the report", found.TCBVersion, tcb)
	}
	if signer == abi.VcekReportSigner && string(found.HWID) != string(chip) {
		return fmt.Errorf("the certificate is another chip's")
	}
	return nil
}

func judge(dir string) error {
	raw, err := os.ReadFile(dir + "/report.bin")
	if err != nil {
		return err
	}
	der, err := os.ReadFile(dir + "/leaf.der")
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	report, err := abi.ReportToProto(raw)
	if err != nil {
		return err
	}
	signer, err := abi.ParseSignerInfo(report.SignerInfo)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(dir, "Turin") { // fmcSPL is an extension that it does not know
		if err := checkExtensions(leaf, signer.SigningKey, report.ReportedTcb, report.ChipId); err != nil {
			return err
		}
	}
	if err := verify.SnpReportSignature(raw, leaf); err != nil {
		return err
	}
	for _, offset := range []int{0x08, 0x50, 0x90, 0xc0, 0x140, 0x180, 0x1a0, 0x1f0, 0x2a0, 0x2e8} {
		raw[offset] ^= 1
		if verify.SnpReportSignature(raw, leaf) == nil {
			return fmt.Errorf("a change at %#x is not noticed", offset)
		}
		raw[offset] ^= 1
	}
	return nil
}

func main() {
	for _, dir := range os.Args[1:] {
		if err := judge(dir); err != nil {
			fmt.Printf("%s: %v\n", dir, err)
			os.Exit(1)
		}
		fmt.Printf("%s: accepted; changed reports refused\n", dir)
	}
}
