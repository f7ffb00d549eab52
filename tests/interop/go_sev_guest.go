// Google's go-sev-guest over directories that emulated_report wrote: report format, certificate extensions, TCB and
// signature. Its chain check is not asked: it wants AMD's own names and roots. With -measure DIR it says how long one takes, with a
// VCEK that is decoded, and a chain that Go's x509 verifies.
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

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

// With AMD's certificates decoded before, as the package keeps those that it trusts.
func verifyOnce(raw, vcek []byte, ask, ark *x509.Certificate) error {
	leaf, err := x509.ParseCertificate(vcek)
	if err != nil {
		return err
	}
	chain := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	chain.Roots.AddCert(ark)
	chain.Intermediates.AddCert(ask)
	if _, err := leaf.Verify(chain); err != nil {
		return err
	}
	if err := ark.CheckSignatureFrom(ark); err != nil {
		return err
	}
	report, err := abi.ReportToProto(raw)
	if err != nil {
		return err
	}
	if err := checkExtensions(leaf, abi.VcekReportSigner, report.ReportedTcb, report.ChipId); err != nil {
		return err
	}
	return verify.SnpReportSignature(raw, leaf)
}

// The process's time on processors.
func used() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Microseconds of one verification; of several rounds the fastest.
func measure(dir string) error {
	raw, err := os.ReadFile(dir + "/report.bin")
	if err != nil {
		return err
	}
	vcek, err := os.ReadFile(dir + "/leaf.der")
	if err != nil {
		return err
	}
	var authorities [2]*x509.Certificate
	for i, name := range []string{"ask.der", "ark.der"} {
		der, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			return err
		}
		if authorities[i], err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	fastest := time.Hour
	for round := 0; round < 15; round++ {
		start := used()
		for i := 0; i < 20; i++ {
			if err := verifyOnce(raw, vcek, authorities[0], authorities[1]); err != nil {
				return err
			}
		}
		if spent := (used() - start) / 20; spent < fastest {
			fastest = spent
		}
	}
	fmt.Println(fastest.Microseconds())
	return nil
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-measure" {
		if err := measure(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	for _, dir := range os.Args[1:] {
		if err := judge(dir); err != nil {
			fmt.Printf("%s: %v\n", dir, err)
			os.Exit(1)
		}
		fmt.Printf("%s: accepted; changed reports refused\n", dir)
	}
}
