"""What a reader does with the page, in a real browser. Marked `browser`."""

from pathlib import Path

import pytest

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

# The first table of scores that has several methods.
TABLE = """
[...document.querySelectorAll('#by-task table')].find((each) => each.tBodies[0].rows.length > 2)
"""
COLUMN = f"""
const table = {TABLE.strip()};
return [...table.tBodies[0].rows].filter((row) => !row.classList.contains('part'))
  .map((row) => Number(row.cells[1].dataset.value));
"""
COUNT = "return document.querySelectorAll(arguments[0]).length"
NAMED = "document.getElementById(arguments[0])"
HEAD = f"{TABLE.strip()}.tHead.lastElementChild.cells[1]"


def shown(reader: Reader, query: str) -> int:
    """How many of these are not hidden."""
    found = reader.run(COUNT, f"{query}:not([data-away])")
    assert isinstance(found, int)
    return found


def test_a_heading_sorts_its_column_and_says_so(reader: Reader):
    reader.run(f"{HEAD}.querySelector('button').click()")
    falling = reader.run(COLUMN)
    assert len(falling) > 1
    assert falling == sorted(falling, reverse=True)
    assert reader.run(f"return {HEAD}.getAttribute('aria-sort')") == "descending"
    reader.run(f"{HEAD}.querySelector('button').click()")
    assert reader.run(COLUMN) == sorted(falling)
    assert reader.run(f"return {HEAD}.getAttribute('aria-sort')") == "ascending"


def test_headings_are_reached_and_pressed_with_the_keyboard_alone(reader: Reader):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    button = reader.driver.find_element(By.CSS_SELECTOR, "#overview thead tr:last-child button")
    reader.run("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert reader.run("return document.querySelector('#overview th[aria-sort]') !== null")
    assert reader.run("return document.activeElement.tagName") == "BUTTON"


def test_a_filter_leaves_what_was_chosen_and_can_be_undone(reader: Reader):
    every = shown(reader, ".trial")
    reader.run("""
        const select = document.querySelector('select[name=task]');
        select.selectedIndex = [...select.options].findIndex(o => o.text === 'lra/listops');
        select.dispatchEvent(new Event('change', { bubbles: true }));
    """)
    some = shown(reader, ".trial")
    assert 0 < some < every
    left = "document.querySelectorAll('.trial:not([data-away]) h3')"
    titles = reader.run(f"return [...{left}].map((each) => each.textContent)")
    assert all("lra/listops" in title for title in titles)
    assert f"{some} of {every}" in reader.run("return document.getElementById('shown').value")
    reader.run("document.querySelector('#filters button[type=reset]').click()")
    reader.until("return document.querySelectorAll('.trial[data-away]').length === 0")


def test_a_name_in_a_legend_hides_its_series_and_shows_it_again(reader: Reader):
    name = reader.run("""
        const figure = [...document.querySelectorAll('figure')]
          .find((each) => each.querySelectorAll('.legend button').length > 1);
        return figure.id;
    """)
    reader.until_drawn()
    marks = (
        "document.getElementById(arguments[0]).querySelectorAll('.plot path, .plot line').length"
    )
    before = reader.run(f"return {marks}", name)
    press = f"{NAMED}.querySelector('.legend button').click()"
    reader.run(press, name)
    reader.until(f"return {marks} < arguments[1]", name, before)
    pressed = f"return {NAMED}.querySelector('button').ariaPressed"
    assert reader.run(pressed, name) == "false"
    reader.run(press, name)
    reader.until(f"return {marks} === arguments[1]", name, before)


def test_every_figure_is_drawn_and_has_its_numbers_in_a_table(reader: Reader):
    reader.until_drawn()
    figures = reader.run(COUNT, "figure")
    assert figures > 10
    assert reader.run(COUNT, "figure .plot svg") == figures
    reader.run("document.querySelector('figure .numbers').open = true")
    reader.until("return document.querySelectorAll('figure .numbers td').length > 0")


def test_pointing_at_a_mark_shows_its_numbers(reader: Reader):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    reader.size(1280, 1000)
    reader.until_drawn()
    point = reader.driver.find_elements(By.CSS_SELECTOR, "figure .mark-symbol path")[0]
    reader.run("arguments[0].scrollIntoView({ block: 'center' })", point)
    ActionChains(reader.driver).move_to_element(point).perform()
    reader.until("return !document.getElementById('tip').hidden")
    assert reader.run("return document.querySelectorAll('#tip dt').length") > 1


def test_a_number_leads_to_its_record_with_the_command_that_repeats_it(reader: Reader):
    link = f"{TABLE.strip()}.querySelector('tbody td a')"
    target = reader.run(f"return {link}.hash").removeprefix("#")
    reader.run(f"{link}.click()")
    reader.until(f"return {NAMED}.matches(':target')", target)
    reader.until(f"const it = {NAMED}; return it.open || it.querySelector('details').open", target)
    assert "python -m bench run" in reader.run(f"return {NAMED}.textContent", target)
    reader.until(
        f"const at = {NAMED}.getBoundingClientRect().top; return at > -5 && at < 900", target
    )


@pytest.mark.parametrize(("name", "width", "height"), [("desk", 1280, 1000), ("phone", 390, 844)])
def test_both_schemes_fit_a_desk_and_a_phone(reader: Reader, tmp_path: Path, name, width, height):
    seen = {
        scheme: reader.look(
            width=width, height=height, scheme=scheme, target=tmp_path / f"{name}-{scheme}.png"
        )
        for scheme in ("light", "dark")
    }
    assert seen["light"] != seen["dark"]
    reader.until_drawn()
    assert reader.run("return document.documentElement.scrollWidth") <= width
    paper = reader.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(20, 23, 27)"


def test_text_stands_out_from_its_ground_in_both_schemes(reader: Reader):
    contrast = """
      const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number).map((v) => {
        v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
      const light = (text) => { const [r, g, b] = rgb(text);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = light(getComputedStyle(document.body).backgroundColor);
      return ['.lead', 'td a', 'td small', 'body', 'td.faint', '.glyph'].flatMap((query) =>
        [...document.querySelectorAll(query)].slice(0, 8).map((node) => {
          const ink = light(getComputedStyle(node).color);
          return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        }));
    """
    for scheme in ("light", "dark"):
        reader.size(1280, 1000, scheme)
        assert min(reader.run(contrast)) >= 3.0


def test_a_foreign_script_in_the_page_would_not_run(reader: Reader):
    reader.run("""
        const script = document.createElement('script');
        script.textContent = 'window.stolen = true';
        document.body.append(script);
    """)
    assert reader.run("return window.stolen") is None
    # The browser says that it refused: this complaint is wanted.
    assert any("Content Security Policy" in each for each in reader.complaints())


def test_the_first_key_leads_past_the_navigation(reader: Reader, page: Path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    reader.open(page.as_uri())
    reader.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert reader.run("return document.activeElement.getAttribute('href')") == "#main"
