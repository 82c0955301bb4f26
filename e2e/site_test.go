package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"
)

// TestSite builds the documentation as a site, follows all of its links, and looks at it in
// a browser: the search finds a code, what it finds leads there, and nothing is asked of
// anyone else.
func TestSite(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := command(root, nil, "make", "site"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "bin", "site")
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)

	ids, links := map[string]map[string]bool{}, map[string][]string{}
	for next := []string{"/index.html"}; len(next) > 0; next = next[1:] {
		page := next[0]
		if ids[page] != nil {
			continue
		}
		ids[page] = map[string]bool{"": true, "__search": true}
		for _, link := range readPage(t, filepath.Join(dir, filepath.FromSlash(page)), ids[page]) {
			target, err := (&url.URL{Path: page}).Parse(link)
			if err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if err != nil || target.Host != "" || target.Scheme != "" {
				continue
			}
			links[page] = append(links[page], target.Path+"#"+target.Fragment)
			if strings.HasSuffix(target.Path, ".html") {
				next = append(next, target.Path)
			}
		}
	}
	if len(ids) < 70 {
		t.Errorf("there are but %d pages", len(ids))
	}
	for page, targets := range links {
		for _, target := range targets {
			path, fragment, _ := strings.Cut(target, "#")
			if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path))); err != nil || info.IsDir() && ids[strings.TrimSuffix(path, "/")+"/index.html"] == nil {
				t.Errorf("%s: the link %s leads nowhere", page, target)
			} else if ids[path] != nil && !ids[path][fragment] {
				t.Errorf("%s: %s has no %q", page, path, fragment)
			}
		}
	}

	s := startSite(t)
	s.do(chromedp.Navigate(server.URL+"/index.html"), chromedp.WaitVisible(chromedp.CSS("h1")))
	if title := s.text("h1"); !strings.HasPrefix(title, "victorgen") {
		t.Errorf("the first page is %q", title)
	}
	s.do(chromedp.Click(chromedp.CSS("label.md-search__icon, [data-md-component=search-query]")))
	s.do(chromedp.SendKeys(chromedp.CSS("[data-md-component=search-query]"), "VG1205"))
	s.await(`document.querySelector(".md-search-result__item a") !== null`)
	if found := s.text(".md-search-result__list"); !strings.Contains(found, "VG1205") {
		t.Errorf("the search finds\n%s", found)
	}
	if to := eval[string](s, `document.querySelector(".md-search-result__item a[href*='codes.html']").href`); !strings.Contains(to, "/docs/reference/codes.html") {
		t.Errorf("the search leads to %s", to)
	}
	// Once the evaluation is over: the page that answers it would be gone.
	eval[chromedp.Void](s, `setTimeout(() => document.querySelector(".md-search-result__item a[href*='codes.html']").click(), 100), undefined`)
	s.await(`location.pathname === "/docs/reference/codes.html"`)
	s.await(`document.querySelector("#vg1205") !== null`)
	s.do(chromedp.Navigate(server.URL+"/docs/reference/commands/victorgen_build.html"), chromedp.WaitVisible(chromedp.CSS("h1")))
	if title := s.text("h1"); !strings.HasPrefix(title, "victorgen build") {
		t.Errorf("the page of build is %q", title)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sent := range s.sent {
		if !strings.HasPrefix(sent, server.URL) && !strings.HasPrefix(sent, "blob:"+server.URL) && sent != "about:blank" {
			t.Errorf("somebody else is asked for %s", sent)
		}
	}
	for _, trouble := range s.troubles {
		t.Errorf("the console says: %s", trouble)
	}
}

// readPage notes the anchors of a page of HTML, and returns its links, and what it loads.
func readPage(t *testing.T, file string, ids map[string]bool) (links []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tokens := html.NewTokenizer(f)
	for tokens.Next() != html.ErrorToken {
		for _, a := range tokens.Token().Attr {
			switch a.Key {
			case "id", "name":
				ids[a.Val] = true
			case "href", "src":
				links = append(links, a.Val)
			}
		}
	}
	return links
}
