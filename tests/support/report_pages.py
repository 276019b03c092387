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
