"""What is asked of a report page in a browser."""

import re

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload="window.hacked = 1">',
    "' onfocus='window.hacked=1' autofocus='",
    "אבג \u202etxt.exe",
    "javascript:window.hacked=1//\u2028\u2029",
    "w" * 300,
    "${window.hacked = 1}{{7*7}}&lt;b&gt;\\u003cscript>",
)


def texts(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
    )


def find(browser, selector):
    return browser.find_element("css selector", selector)


def readout(browser):
    """Frame, ground truth, and the score of each run by its number."""
    said = find(browser, "#readout").text
    frame, truth = re.match(r"Frame ([\d,]+), ground truth (.*)", said).groups()
    lines = browser.execute_script(
        "return [...document.querySelectorAll('#readout b')].map(b => [b.dataset.run, b.dataset.score, b.textContent])"
    )
    return int(frame.replace(",", "")), truth, {int(i): (float(score), float(text)) for i, score, text in lines}


def point(browser, frame, frames):
    """Move the pointer over a frame of the whole video."""
    from selenium.webdriver import ActionChains

    canvas = find(browser, "#curve")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    plot = browser.execute_script("return viewer.boxes().plot")
    size = canvas.size
    x = plot["x"] + (frame + 0.5) / frames * plot["width"]
    actions = ActionChains(browser, duration=0)
    actions.move_to_element_with_offset(
        canvas, round(x - size["width"] / 2), round(plot["y"] + 50 - size["height"] / 2)
    )
    actions.perform()


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser, duration=0).send_keys(*keys).perform()


def unreachable(browser):
    """Headings of columns that are outside the screen with nothing seen that leads to them."""
    return browser.execute_script("""
        const seen = (e) => e && e.checkVisibility() && e.getClientRects().length;
        const inside = ({ left, right }) => left >= -0.5 && right <= innerWidth + 0.5;
        const lost = [];
        for (const scroller of document.querySelectorAll(".scroll")) {
          if (!seen(scroller)) continue;
          const chooser = scroller.parentElement.querySelector(".chooser select");
          const offered = seen(chooser) ? [...chooser.options].map((option) => option.textContent) : [];
          for (const head of scroller.querySelectorAll("thead th")) {
            const title = head.querySelector("button")?.textContent ?? head.textContent;
            const hinted = seen(scroller.parentElement.querySelector(".hint"));
            const scrolls = hinted && scroller.scrollWidth > scroller.clientWidth;
            const reached = seen(head) ? inside(head.getBoundingClientRect()) || scrolls : offered.includes(title);
            if (!reached) lost.push(title);
          }
        }
        return lost;""")


def choose_columns(browser, table, *titles):
    """Choose columns of a table on a narrow screen; the headings that are seen then."""
    from selenium.webdriver.support.select import Select

    for select, title in zip(browser.find_elements("css selector", f"{table} .chooser select"), titles, strict=True):
        Select(select).select_by_visible_text(title)
    heads = browser.find_elements("css selector", f"{table} thead th")
    return [head.text.strip() for head in heads if head.is_displayed()]
