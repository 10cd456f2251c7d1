"""The page of the model library: equations, parameters, a figure and the sources of each model."""

from __future__ import annotations

import ast
import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from ckinetics.errors import InputError
from ckinetics.modeling import list_models, load_model, model_folder, read_model
from ckinetics.modeling.files.expressions import names_in
from ckinetics.reporting.pages.library import NAME, model_section, write_library_page
from ckinetics.reporting.pages.mathml import mathml, mathml_name, mathml_rate


def plain(expression):
    """The text of an expression as MathML, fractions and powers written on one line."""

    def written(node):
        inside = [written(child) for child in node]
        match node.tag:
            case "mfrac":
                return f"[{inside[0]}]/[{inside[1]}]"
            case "msup":
                return f"{inside[0]}^{{{inside[1]}}}"
            case "msub":
                return f"{inside[0]}_{inside[1]}"
            case "mtr":
                return " ".join(inside) + ";"
            case _:
                return (node.text or "") + "".join(inside)

    return written(ElementTree.fromstring(f"<math>{mathml(expression)}</math>"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rho*E", "ρ·E"),
        ("-alpha*E", "−α·E"),
        ("a - (b - c)", "a−(b−c)"),
        ("a + (b - c)", "a+b−c"),
        ("a - b - c", "a−b−c"),
        ("a*-b", "a·(−b)"),
        ("a + -b", "a+(−b)"),
        ("a - -b*c", "a−(−b·c)"),
        ("(a + b)*c", "(a+b)·c"),
        ("a*(b*c)", "a·b·c"),
        ("a/b/c", "[[a]/[b]]/[c]"),
        ("(a + b)/(c*d)", "[a+b]/[c·d]"),
        ("-(a/b)**2", "−([a]/[b])^{2}"),
        ("(a**b)**c", "(a^{b})^{c}"),
        ("2*3.5e-7*x", "2·3.5·10^{−7}·x"),
        ("1e12", "10^{12}"),
        ("k_EP*C0", "k_EP·C_0"),
        ("exp(-beta*t)", "e^{−β·t}"),
        ("1 - expm1(x)", "1−(e^{x}−1)"),
        ("log(x/K)**2", "(ln([x]/[K]))^{2}"),
        ("log1p(x)", "ln(1+x)"),
        ("sqrt(x)*abs(y)", "x·|y|"),
        ("hill(x + y, n, K)", "[(x+y)^{n}]/[K^{n}+(x+y)^{n}]"),
        ("max(a, b, 0)", "max(a,b,0)"),
        ("where(t >= T, a, b)", "{a if\u00a0t≥T;b else;"),
        ("lambda*x", "λ·x"),
    ],
)
def test_expressions_are_set(text, shown):
    assert plain(text) == shown


def test_names_and_rates():
    assert mathml_name("C_T") == "<msub><mi>C</mi><mi>T</mi></msub>"
    assert mathml_name("foldx") == "<mi>foldx</mi>"
    assert mathml_name("Te1") == "<mi>Te1</mi>"
    assert mathml_rate("mu") == "<mfrac><mrow><mi>d</mi><mi>μ</mi></mrow><mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"


@pytest.mark.parametrize("name", list_models())
def test_every_expression_of_the_library_is_well_formed(name):
    model = load_model(name)
    spec = model.specification
    texts = [*spec.definitions.values(), *(state.initial for state in spec.states.values())]
    texts += [text for phase in spec.phases for text in (*phase.equations.values(), *phase.reset.values())]
    texts += [output.expression for output in spec.outputs.values()]
    for text in texts:
        tree = ElementTree.fromstring(f"<math>{mathml(text)}</math>")
        letters = len(list(tree.iter("mi")))
        assert letters >= len(set(names_in(text)) - {"hill", "sqrt", "abs", "where", "exp", "expm1"})
        ast.parse(text.strip().replace("\n", " "), mode="eval")


class Page(HTMLParser):
    """The tags of a page; anything that would load or run something is refused."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "form")
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href"):
                assert (value or "").startswith(("#", "data:image/svg+xml;base64,"))
                (self.images if tag == "img" else self.links).append(value or "")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


NAMES = ["stein2019", "barros2021_hdlm2", "owens_bozic2021", "one_compartment_oral", "hardiansyah2019_cytokines"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = write_library_page(tmp_path_factory.mktemp("page") / "new", models=NAMES)
    assert path.name == NAME
    return path.read_text(encoding="utf-8")


def test_the_page_has_each_model_with_contents_figure_and_sources(text):
    page = Page(text)
    assert [link for link in page.links if link != "#content"] == [f"#{name}" for name in NAMES]
    assert set(NAMES) <= set(page.ids)
    assert len(page.images) == len(NAMES)
    for name in NAMES:
        spec = load_model(name).specification
        own = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)[0]
        assert spec.reference.doi in own
        for parameter, entry in spec.parameters.items():
            row = re.search(rf'<th scope="row">{parameter}</th>.*?</tr>', own, re.DOTALL)[0]
            assert f"{entry.value:.6g}" in row
            assert entry.trust in row
        assert own.count("<mi>d</mi><mi>t</mi>") == len(spec.states) * len(spec.phases)
        assert own.count(">yes<") >= len(spec.example)
        assert ">NO<" not in own
        assert all(one.against.split()[0] in own for one in spec.verified)


def test_a_figure_is_drawn_with_what_the_example_expects(text):
    own = re.search(r'<section id="owens_bozic2021".*?</section>', text, re.DOTALL)[0]
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', own)[1]
    svg = ElementTree.fromstring(base64.b64decode(source))
    drawn = [node.get("d", "") for node in svg.iter("{http://www.w3.org/2000/svg}path")]
    assert max(len(path) for path in drawn) > 600  # curves, not an empty frame
    uses = len(list(svg.iter("{http://www.w3.org/2000/svg}use")))
    spec = load_model("owens_bozic2021").specification
    assert uses > len(spec.example[0].times)
    assert "alt=" in own


def test_a_wrong_example_stands_out():
    stein = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")
    section = model_section(read_model(stein.replace("24000.0, 11411.5", "24000.0, 11511.5"), name="wrong"))
    (table,) = [block for block in section.blocks if getattr(block, "caption", "").startswith("Examples")]
    assert table.rows[0][3] == "NO"
    assert table.marked == frozenset({0})


def test_words_of_a_file_are_escaped(tmp_path):
    stein = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")
    hostile = stein.replace('label = "effector cells"', 'label = "<script>alert(1)</script>"')
    hostile = hostile.replace("Stein 2019: piecewise", "<b>Stein</b>: piecewise")
    file = tmp_path / "mine.toml"
    file.write_text(hostile, encoding="utf-8")
    page = write_library_page(tmp_path, models=[file]).read_text(encoding="utf-8")
    Page(page)
    assert "&lt;script&gt;alert(1)" in page


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="did you mean 'stein2019'"):
        write_library_page(tmp_path, models=["stein2091"])
    assert not (tmp_path / NAME).exists()
