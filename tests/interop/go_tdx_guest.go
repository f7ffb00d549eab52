// Google's go-tdx-guest judges quotes of an emulated platform (directories that emulated_quote wrote), with the
// emulated root and with the collateral in place of Intel's service. With -measure DIR it says how long one takes.
package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tdx-guest/verify"
)

// Answers as Intel's Provisioning Certification Service does, from a collateral file.
type service map[string]string

func (s service) Get(address string) (map[string][]string, []byte, error) {
	chain := func(header, member string) map[string][]string {
		return map[string][]string{header: {url.QueryEscape(s[member])}}
	}
	signed := func(name, member string) []byte {
		return []byte(fmt.Sprintf(`{"%s":%s,"signature":"%s"}`, name, s[member], s[member+"_signature"]))
	}
	crl := func(member string) ([]byte, error) { return hex.DecodeString(s[member]) }
	switch {
	case strings.Contains(address, "/tcb?fmspc="):
		return chain("Tcb-Info-Issuer-Chain", "tcb_info_issuer_chain"), signed("tcbInfo", "tcb_info"), nil
	case strings.Contains(address, "/qe/identity"):
		return chain("Sgx-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain"),
			signed("enclaveIdentity", "qe_identity"), nil
	case strings.Contains(address, "/pckcrl?"):
		body, err := crl("pck_crl")
		return chain("Sgx-Pck-Crl-Issuer-Chain", "pck_crl_issuer_chain"), body, err
	default: // the distribution point that the root names
		body, err := crl("root_ca_crl")
		return nil, body, err
	}
}

func options(collateral service, root *x509.Certificate) *verify.Options {
	now := time.Now()
	o := &verify.Options{CheckRevocations: true, GetCollateral: true, Getter: collateral, Now: &verify.TimeSet{
		PckCertChain: now, TcbInfo: now, QeIdentity: now, PckCrl: now, RootCaCrl: now}}
	if root != nil {
		o.TrustedRoots = x509.NewCertPool()
		o.TrustedRoots.AddCert(root)
	}
	return o
}

// Offsets of what is signed: header, body, and what follows it. It takes no extended bodies and pads nothing.
func covered(raw []byte) []int {
	begin, size := 48, 584
	if raw[0] == 5 {
		begin, size = 54, 648
	}
	end := begin + size
	offsets := []int{12, 30, end - 1, end + 4, end + 68, end + 138, end + 138 + 128, end + 138 + 320, end + 138 + 384,
		end + 138 + 384 + 66}
	for _, field := range []int{0, 16, 120, 128, 136, 184, 232, 280, 328, 376, 424, 472, 583} {
		offsets = append(offsets, begin+field)
	}
	return offsets
}

func read(dir string) (raw []byte, root *x509.Certificate, collateral service, err error) {
	if raw, err = os.ReadFile(dir + "/quote.bin"); err != nil {
		return
	}
	text, err := os.ReadFile(dir + "/root.pem")
	if err != nil {
		return
	}
	block, _ := pem.Decode(text)
	if root, err = x509.ParseCertificate(block.Bytes); err != nil {
		return
	}
	if text, err = os.ReadFile(dir + "/collateral.json"); err != nil {
		return
	}
	err = json.Unmarshal(text, &collateral)
	return
}

// A list or document with its last byte changed, which is its signature's.
func spoil(collateral service, member string) service {
	spoiled := service{}
	for k, v := range collateral {
		spoiled[k] = v
	}
	digits := []byte(spoiled[member])
	if digits[len(digits)-1] == '0' {
		digits[len(digits)-1] = '1'
	} else {
		digits[len(digits)-1] = '0'
	}
	spoiled[member] = string(digits)
	return spoiled
}

func judge(dir string) error {
	raw, root, collateral, err := read(dir)
	if err != nil {
		return err
	}
	if err := verify.RawTdxQuote(raw, options(collateral, root)); err != nil {
		return err
	}
	if verify.RawTdxQuote(raw, options(collateral, nil)) == nil {
		return fmt.Errorf("passes under Intel's root")
	}
	for _, offset := range covered(raw) {
		raw[offset] ^= 1
		if verify.RawTdxQuote(raw, options(collateral, root)) == nil {
			return fmt.Errorf("a change at %d is not noticed", offset)
		}
		raw[offset] ^= 1
	}
	for _, member := range []string{"tcb_info_signature", "qe_identity_signature", "pck_crl", "root_ca_crl"} {
		if verify.RawTdxQuote(raw, options(spoil(collateral, member), root)) == nil {
			return fmt.Errorf("a changed %s is not noticed", member)
		}
	}
	return nil
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
	raw, root, collateral, err := read(dir)
	if err != nil {
		return err
	}
	fastest := time.Hour
	for round := 0; round < 15; round++ {
		start := used()
		for i := 0; i < 20; i++ {
			if err := verify.RawTdxQuote(raw, options(collateral, root)); err != nil {
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
		fmt.Printf("%s: accepted; changed quotes and collateral refused\n", dir)
	}
}
