"""The page: harmless whatever it is given, and in a real browser, without a network, it plays, shows and seeks."""

import json
import re
import shutil
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lstmusic.errors import OutputError
from lstmusic.listening import audio, page, server
from lstmusic.listening.page import PageSong, write_page
from lstmusic.score.score import NOTE_DTYPE, Score, Track

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\" & \u2028"


def data_of(path):
    """What the page's script will read."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))[1]
    )


def test_the_page_holds_notes_in_seconds(chorale, tmp_path):
    song = PageSong("one", chorale(4), {".WAV": "a b#1.wav", "mid": "one.mid"}, {"seed": "7"})
    data = data_of(write_page(tmp_path, [song], title="Songs", settings={"temperature": 0.9}))
    shown = data["songs"][0]
    assert data["settings"] == [["temperature", "0.9"]] and shown["facts"] == [["seed", "7"]]
    assert shown["audio"] == "a%20b%231.wav" and shown["files"][1] == ["mid", "one.mid"]
    assert shown["bars"] == [0, 2.4, 4.8, 7.2, 9.6] and shown["length"] == 9.6
    assert shown["notes"][4:6] == [[0.6, 0.6, 72, 80, 0], [0.6, 0.6, 69, 80, 1]]
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_the_page_holds_surprise(chorale, tmp_path):
    nats = np.r_[np.nan, 1.23456, np.zeros(62)]
    song = PageSong("one", chorale(4), note_nats=nats, bar_nats=np.arange(4.0), pictures={"gates": "gates #1.png"})
    shown = data_of(write_page(tmp_path, [song], title="", settings={}))["songs"][0]
    assert shown["note_nats"][:3] == [None, 1.235, 0] and len(shown["note_nats"]) == len(shown["notes"])
    assert shown["bar_nats"] == [0, 1, 2, 3]
    assert shown["pictures"] == [["gates", "gates%20%231.png"]]
    plain = data_of(write_page(tmp_path, [PageSong("one", chorale(1))], title="", settings={}))["songs"][0]
    assert plain["note_nats"] is plain["bar_nats"] is None


@given(st.text(max_size=40))
def test_no_string_leaves_its_place(text):
    held = page.script_json({"x": text + "</script><!--" + text})
    assert json.loads(held)["x"] == text + "</script><!--" + text
    assert held.isascii() and not set("<>&") & set(held)


def test_no_address_leads_away(chorale, tmp_path):
    song = PageSong("x", chorale(1), {"wav": "javascript:alert(1)", "mid": "http://example.org/x.mid"})
    links = data_of(write_page(tmp_path, [song], title="", settings={}))["songs"][0]["files"]
    assert all(":" not in href for _, href in links)


def test_a_song_without_notes_and_no_songs(tmp_path):
    empty = PageSong("silence", Score(np.zeros(0, NOTE_DTYPE), (Track(),)))
    assert data_of(write_page(tmp_path, [empty], title="{{data}}", settings={}))["songs"][0]["notes"] == []
    assert data_of(write_page(tmp_path, [], title="none", settings={}))["songs"] == []


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_page(tmp_path / "nowhere", [], title="", settings={})


@pytest.fixture(scope="module")
def browser():
    """Chromium, headless; skips where there is none."""
    driver = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with driver.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, chorale, tmp_path):
    """A function: opens a page of two songs with audio and one without; fails on any error, or request elsewhere."""
    songs = []
    for number in (1, 2, 3):
        score = chorale(4)
        files = {"wav": f"song {number}.wav"} if number < 3 else {}
        songs.append(PageSong(f"song {number} {HOSTILE}", score, files, {"bars": "4", HOSTILE: HOSTILE}))
    for number in (1, 2):
        audio.write_audio(audio.render(chorale(4)), tmp_path / f"song {number}.wav")
    write_page(tmp_path, songs, title=f"Songs {HOSTILE}", settings={"primer": HOSTILE})
    troubles, contexts = [], []

    def go(address=f"file://{tmp_path}/index.html", **options):
        context = browser.new_context(offline=address.startswith("file"), **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(8000)
        root = address.rsplit("/", 1)[0]
        tab.on("request", lambda request: request.url.startswith(root) or troubles.append(request.url))
        tab.on("console", lambda message: message.type in ("error", "warning") and troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.goto(address)
        return tab

    go.folder = tmp_path
    yield go
    for context in contexts:
        context.close()
    assert troubles == []


def until(tab, condition, given=None):
    """Wait for a condition in the page; playwright's own wait needs eval, which the page's policy forbids."""
    for _ in range(160):
        if tab.evaluate(condition, given):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def picture(tab, song):
    return tab.evaluate(f"cards[{song}].canvas.toDataURL()")


def time_of(tab, song):
    return tab.evaluate(f"cards[{song}].player.time")


def playing(tab):
    return tab.evaluate("cards.map(card => card.player.playing)")


def test_it_plays_and_shows_where(visit):
    tab = visit()
    assert tab.title().startswith("Songs </script>") and tab.locator("img").count() == 0
    tab.get_by_role("button", name="Play song 1").click()
    until(tab, "cards[0].player.time > 0.3")
    before, seen = time_of(tab, 0), picture(tab, 0)
    tab.wait_for_timeout(500)
    assert time_of(tab, 0) > before + 0.3 and picture(tab, 0) != seen
    tab.get_by_role("button", name="Play song 2").click()
    until(tab, "cards[1].player.playing")
    assert playing(tab) == [False, True, False]  # one at a time
    tab.get_by_role("button", name="Pause song 2").click()
    assert playing(tab) == [False, False, False]


def test_a_click_in_the_roll_seeks(visit):
    tab = visit()
    for song in (0, 2):
        canvas = tab.locator("canvas").nth(song)
        width = tab.evaluate(f"cards[{song}].width")
        canvas.click(position={"x": (width + 34) / 2, "y": 60})
        assert time_of(tab, song) == pytest.approx(4.8, abs=0.05)
        assert canvas.get_attribute("aria-valuenow") == "5"


def test_without_audio_it_plays_by_itself(visit):
    tab = visit()
    tab.evaluate("cards[2].seek(9)")
    tab.get_by_role("button", name="Play song 3").click()
    until(tab, "cards[2].player.time > 9.2")
    until(tab, "!cards[2].player.playing")  # and ends by itself
    assert time_of(tab, 2) == pytest.approx(9.6, abs=0.01)
    tab.get_by_role("button", name="Play song 3").click()
    until(tab, "cards[2].player.time > 0.1")
    assert time_of(tab, 2) < 3


def test_keys(visit):
    tab = visit()
    tab.keyboard.press("Space")
    until(tab, "cards[0].player.playing")
    tab.keyboard.press("ArrowRight")
    until(tab, "cards[0].player.time >= 2.4")
    tab.keyboard.press("ArrowDown")
    until(tab, "cards[1].player.playing")
    assert playing(tab) == [False, True, False]
    tab.keyboard.press("Space")
    assert playing(tab) == [False, False, False]
    tab.get_by_role("button", name="Play song 1").focus()
    tab.keyboard.press("Space")  # on a button, the space bar presses the button, once
    until(tab, "cards[0].player.playing")


def test_surprise_is_shown_told_and_taken_away(visit, chorale):
    nats = np.full(64, 0.1)
    nats[4:8] = np.nan, 2.302585, 6.0, 0.0  # of the second chord
    picture_file = visit.folder / "gates.png"
    Image.new("RGB", (40, 20), "red").save(picture_file)
    song = PageSong(
        "told", chorale(4), note_nats=nats, bar_nats=np.array([8.0, 1, np.nan, 2]), pictures={"Gates": "gates.png"}
    )
    write_page(visit.folder, [song, PageSong("untold", chorale(1))], title="", settings={})
    tab = visit(viewport={"width": 900, "height": 700})
    assert tab.get_by_role("button", name="Surprise").count() == 1
    before, height = picture(tab, 0), tab.evaluate("cards[0].height")
    button, told = tab.get_by_role("button", name="Surprise"), tab.locator(".told").first
    assert not told.is_visible()
    button.click()
    assert button.get_attribute("aria-pressed") == "true" and told.is_visible()
    assert picture(tab, 0) != before and tab.evaluate("cards[0].height") > height

    def hover(time, pitch):
        x, y = tab.evaluate("([t, p]) => [cards[0].x(t), (cards[0].song.high - p + 0.5) * cards[0].row]", [time, pitch])
        tab.locator("canvas").first.hover(position={"x": x, "y": y})
        return told.text_content()

    assert hover(0.9, 69) == "A4, Alto, bar 1: 2.30 nats, a probability of 10 %"
    assert hover(0.9, 72) == "C5, Soprano, bar 1: given"
    assert hover(0.9, 65) == "F4, Tenor, bar 1: 6.00 nats, a probability of 0.2 %"
    assert hover(0.9, 60).startswith("Strong colours")
    below = tab.evaluate("cards[0].height") - 10
    tab.locator("canvas").first.hover(position={"x": tab.evaluate("cards[0].x(1)"), "y": below})
    assert told.text_content() == "Bar 1: 8.0 nats"
    image = tab.locator("figure img")
    image.scroll_into_view_if_needed()
    until(tab, "document.querySelector('figure img').naturalWidth === 40")
    assert image.get_attribute("alt") == "Gates"
    button.click()
    assert picture(tab, 0) == before and not told.is_visible()


def test_it_fits_a_phone_and_follows_the_dark(visit):
    phone = visit(viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    dark = picture(phone, 0)
    phone.emulate_media(color_scheme="light")
    until(phone, "old => cards[0].canvas.toDataURL() !== old", dark)


def test_it_seeks_through_the_server(visit):
    with server.make_server(visit.folder, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        tab = visit(serving.url + "index.html")
        until(tab, "cards[0].player.audio.readyState > 0")
        tab.evaluate("cards[0].seek(6)")
        tab.evaluate("cards[0].toggle()")
        until(tab, "cards[0].player.time > 6.2")
        assert tab.evaluate("cards[0].player.time") > 6.2
        serving.shutdown()
        thread.join()


def test_a_long_fact_leaves_its_name_whole(visit, chorale):
    facts = {"seed": "7", "chosen": "kept 1st of 8: statistics as usual, unlike the others kept, " * 6}
    write_page(visit.folder, [PageSong("one", chorale(4), {}, facts)], title="Songs", settings={})
    tab = visit(viewport={"width": 420, "height": 800})
    lines = """[...document.querySelectorAll('.facts dt')].map(name => {
        const text = document.createRange();
        text.selectNodeContents(name);
        return text.getClientRects().length;
    })"""
    assert tab.evaluate(lines) == [1, 1]
