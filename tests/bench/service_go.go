// A service as small as one can be around go-sev-guest, to stand beside cofre-trust: HTTPS, a report and a nonce in JSON, the chip's chain held
// in memory, an answer in JSON. It keeps nothing, signs nothing and asks nobody who he is. -serve FOLDER: on descriptor 3.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify"
)

type request struct {
	Evidence struct {
		Report []byte `json:"report"`
	} `json:"evidence"`
	Nonce string `json:"nonce"`
}

type chain struct {
	leaf, ask, ark *x509.Certificate
}

func readChain(folder string) (chain, error) {
	var c chain
	for name, to := range map[string]**x509.Certificate{"leaf": &c.leaf, "ask": &c.ask, "ark": &c.ark} {
		der, err := os.ReadFile(folder + "/" + name + ".der")
		if err != nil {
			return c, err
		}
		if *to, err = x509.ParseCertificate(der); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Its own check of the chain wants AMD's names and roots, so Go's x509 stands in for it, each time: as verify.SnpAttestation has it.
func (c *chain) judge(raw, nonce []byte) error {
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	options.Roots.AddCert(c.ark)
	options.Intermediates.AddCert(c.ask)
	if _, err := c.leaf.Verify(options); err != nil {
		return err
	}
	if err := c.ark.CheckSignatureFrom(c.ark); err != nil {
		return err
	}
	report, err := abi.ReportToProto(raw)
	if err != nil {
		return err
	}
	found, err := kds.VcekCertificateExtensions(c.leaf)
	if err != nil {
		return err
	}
	if uint64(found.TCBVersion) != report.ReportedTcb || !bytes.Equal(found.HWID, report.ChipId) {
		return fmt.Errorf("the certificate is another chip's, or of another TCB")
	}
	if !bytes.HasPrefix(report.ReportData, nonce) {
		return fmt.Errorf("the report answers another nonce")
	}
	return verify.SnpReportSignature(raw, c.leaf)
}

func (c *chain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	nonce, err := hex.DecodeString(asked.Nonce)
	if err == nil {
		err = c.judge(asked.Evidence.Report, nonce)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"outcome": "pass"})
}

func serve(folder string) error {
	held, err := readChain(folder)
	if err != nil {
		return err
	}
	identity, err := tls.LoadX509KeyPair(folder+"/cert.pem", folder+"/key.pem")
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(3, "listening"))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{identity}, MinVersion: tls.VersionTLS13}
	return http.Serve(tls.NewListener(listener, config), &held)
}

func main() {
	if len(os.Args) != 3 || os.Args[1] != "-serve" {
		fmt.Fprintln(os.Stderr, "usage: service_go -serve FOLDER")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, serve(os.Args[2]))
	os.Exit(1)
}
