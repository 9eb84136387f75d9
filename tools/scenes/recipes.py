"""The bank's scenes as a table: what each is, what it is called, and which trades it suits."""

from __future__ import annotations

from typing import NamedTuple

from . import outdoors, sets
from .props import Palette

PALETTES = {
    name: Palette(name, wall, accent)
    for name, (wall, accent) in {
        "beige": ("dccab0", "b98a5c"),
        "grey": ("b9bcbf", "70777d"),
        "pink": ("f0c4c4", "d98088"),
        "sage": ("b4c4a6", "6f8a66"),
        "blue": ("a9c6de", "3f72a6"),
        "cream": ("f1e7d3", "d8b480"),
        "terracotta": ("d99a78", "a9502f"),
        "lavender": ("cdbde4", "8e73bd"),
        "mint": ("b8e0cf", "4fa384"),
        "yellow": ("f5da8e", "dda62a"),
        "navy": ("5d6f8a", "23395b"),
        "wine": ("b98088", "7a2338"),
    }.items()
}


class Setting(NamedTuple):
    build: object  # (stage, variant) -> None
    phrase: str  # in a caption; {color} is the palette's name
    trades: str


SETTINGS = {
    "wooden table": Setting(
        sets.wooden_table,
        "a wooden table in front of a {color} wall",
        "academy bakery bookshop cafe dessert flower_shop fried_chicken furniture gift_shop kindergarten market restaurant shop tea_house",
    ),
    "marble counter": Setting(
        sets.marble_counter,
        "a polished marble counter in front of a {color} wall",
        "bakery cosmetics dessert hair_salon hotel jewellery nail_salon optician pharmacy restaurant",
    ),
    "pastel studio": Setting(
        sets.pastel_studio,
        "a podium in a {color} pastel studio",
        "academy clothing cosmetics dessert gift_shop jewellery kindergarten laundry nail_salon optician pet_shop pharmacy photo_studio shoes shop",
    ),
    "concrete": Setting(
        sets.concrete,
        "raw concrete with a {color} tint",
        "bar car_repair clothing electronics fitness furniture hardware optician photo_studio real_estate shoes",
    ),
    "draped cloth": Setting(
        sets.tablecloth,
        "{color} cloth in soft folds on a table",
        "bakery clothing cosmetics flower_shop hotel jewellery laundry photo_studio wellness",
    ),
    "window light": Setting(
        sets.window_light,
        "a table beside a {color} wall in low window light with soft shadows",
        "academy bookshop cafe clothing flower_shop furniture hair_salon hotel laundry photo_studio real_estate tea_house wellness",
    ),
    "cafe at night": Setting(
        sets.cafe_night,
        "a dark wooden cafe table at night with warm bokeh lights",
        "bar cafe dessert fried_chicken hotel restaurant",
    ),
    "shop shelf": Setting(
        sets.shop_shelf,
        "a wooden shop counter with softly blurred shelves of goods",
        "bookshop car_repair cosmetics electronics fitness gift_shop hardware market optician pet_shop pharmacy shoes shop",
    ),
    "kitchen": Setting(
        sets.kitchen,
        "a kitchen worktop in front of glazed tiles",
        "bakery dessert fried_chicken laundry market pet_shop real_estate restaurant",
    ),
    "desk": Setting(
        sets.desk,
        "a tidy desk in front of a {color} wall with a shelf of books",
        "academy bookshop electronics gift_shop kindergarten photo_studio real_estate",
    ),
    "bathroom shelf": Setting(
        sets.bathroom_shelf,
        "a stone bathroom shelf in front of {color} tiles",
        "cosmetics hair_salon hotel laundry nail_salon pharmacy wellness",
    ),
    "dark studio": Setting(
        sets.dark_studio,
        "a glossy black surface in a dark studio with a {color} glow behind",
        "bar car_repair electronics fitness hardware jewellery optician shoes",
    ),
    "paper window": Setting(
        sets.paper_window,
        "a low wooden table in front of a Korean paper lattice window glowing softly",
        "bar gift_shop hotel restaurant tea_house wellness",
    ),
    "market stall": Setting(
        sets.market_stall,
        "a market stall of old boards with crates of fruit out of focus",
        "bakery fried_chicken market restaurant shop",
    ),
    "beach": Setting(
        outdoors.beach,
        "fine beach sand with the sea and a clear sky behind",
        "bar clothing cosmetics hotel shoes wellness",
    ),
    "grass": Setting(
        outdoors.grass,
        "a slab on a green lawn with trees out of focus",
        "fitness flower_shop kindergarten market pet_shop real_estate shoes",
    ),
    "stone steps": Setting(
        outdoors.garden_stone,
        "stone garden steps with green bushes",
        "clothing fitness flower_shop furniture hardware hotel pet_shop shoes",
    ),
    "snow": Setting(
        outdoors.snow,
        "fresh snow with fir trees far behind",
        "car_repair clothing cosmetics gift_shop shoes tea_house",
    ),
    "still water": Setting(
        outdoors.still_water,
        "a stone disc in still {color} water",
        "cosmetics hair_salon nail_salon pharmacy wellness",
    ),
}
BUILDERS = {name: setting.build for name, setting in SETTINGS.items()}

PHRASES = {
    "apples": "apples",
    "arch": "an arch",
    "beans": "coffee beans",
    "blocks": "painted blocks",
    "board": "a round wooden board",
    "books": "a stack of books",
    "bottles": "small bottles",
    "bowl": "a bowl of red fruit",
    "branch": "a leafy twig",
    "candle": "candles",
    "cones": "pine cones",
    "crate": "a crate of fruit",
    "cup": "a coffee cup",
    "fallen": "autumn leaves",
    "fir": "a fir twig",
    "flowers": "a vase of flowers",
    "gifts": "wrapped gifts",
    "grasses": "dried grasses in a vase",
    "lamp": "a desk lamp",
    "laptop": "a laptop",
    "lemons": "lemons",
    "oranges": "oranges",
    "pencils": "a cup of pencils",
    "petals": "petals",
    "plant": "a potted plant",
    "shells": "shells",
    "spheres": "painted spheres",
    "stairs": "small stairs",
    "stones": "smooth stones",
    "towels": "rolled towels",
}


SHADES = {
    "leaves": ", soft shadows of leaves",
    "palm": ", shadows of palm leaves",
    "panes": ", the shadow of a window",
    "blinds": ", the shadow of blinds",
}


class Recipe(NamedTuple):
    id: str
    setting: str
    variant: str
    palette: str
    light: str
    left: str | None
    right: str | None
    down: float | None = None  # degrees that the camera looks down, where not as the set has it

    @property
    def side(self) -> int:
        """Where the product stands in wide formats: -1 left, +1 right."""
        return -1 if int(self.id.rsplit("-", 1)[1]) % 2 else 1


def trades(recipe: Recipe) -> list[str]:
    return SETTINGS[recipe.setting].trades.split()


def caption(recipe: Recipe) -> str:
    """A sentence for FLUX: the place, what dresses it, the light."""
    place = SETTINGS[recipe.setting].phrase.format(color=recipe.palette)
    things = [PHRASES[name] for name in (recipe.left, recipe.right) if name]
    dressed = f", {' and '.join(things)} at the side" if things else ""
    shade = SHADES.get(recipe.variant, "") if recipe.setting != "window light" else ""
    return f"{place}{dressed}{shade}, light from the {recipe.light}, product photograph, empty in the middle"


def _read(table: str) -> list[Recipe]:
    recipes = []
    for line in table.strip().splitlines():
        id_, setting, variant, palette, light, props, *down = (part.strip() for part in line.split("|"))
        left, right = (None if name == "-" else name for name in props.split())
        recipes.append(Recipe(id_, setting, variant, palette, light, left, right, *map(float, down)))
    return recipes


# One of each setting first, so that an unfinished bank already suits every trade. The light's name is one of
# stage.LIGHTS; where a wall stands close behind, it does not come from there.
RECIPES = _read("""
paper-1    | paper window   | cherry   | cream      | right front  | bowl grasses
studio-1   | pastel studio  |          | pink       | left front   | spheres arch
wood-1     | wooden table   | oak      | sage       | left         | branch oranges
wood-7     | wooden table   | oak      | cream      | left front   | beans branch  | 36
kitchen-1  | kitchen        |          | sage       | left front   | lemons board
bath-1     | bathroom shelf |          | mint       | right front  | towels branch
window-6   | window light   | leaves   | beige      | left         | beans -       | 35
concrete-1 | concrete       | block    | grey       | right behind | stones -
dark-1     | dark studio    | podium   | blue       | left behind  | - -
marble-1   | marble counter |          | blue       | right        | flowers candle
shelf-1    | shop shelf     | oak      | cream      | left front   | - plant
grass-1    | grass          |          | sage       | right front  | - -
cafe-1     | cafe at night  |          | terracotta | left behind  | beans cup
steps-1    | stone steps    |          | sage       | left front   | - -
desk-1     | desk           | ash      | navy       | left         | books pencils
snow-1     | snow           |          | blue       | right        | cones -
window-1   | window light   | leaves   | cream      | left         | - branch
market-1   | market stall   | grey     | terracotta | left front   | apples lemons
water-1    | still water    |          | mint       | left behind  | - petals
beach-1    | beach          |          | blue       | right front  | shells -
linen-1    | draped cloth   | checked  | beige      | left         | - branch
studio-9   | pastel studio  |          | mint       | right front  | spheres -     | 30
marble-6   | marble counter |          | sage       | right front  | branch petals | 34
studio-2   | pastel studio  |          | blue       | right        | blocks stairs
wood-2     | wooden table   | walnut   | cream      | right front  | cup books
marble-2   | marble counter | black    | grey       | left behind  | candle flowers
window-2   | window light   | panes    | sage       | right        | plant -
dark-2     | dark studio    | podium   | wine       | right behind | - -
studio-3   | pastel studio  | square   | lavender   | behind       | arch spheres
concrete-2 | concrete       |          | sage       | left         | - branch
linen-2    | draped cloth   | checked  | pink       | right        | - petals
kitchen-2  | kitchen        | marble   | blue       | right front  | bowl plant
bath-2     | bathroom shelf | terrazzo | pink       | left front   | bottles towels
desk-2     | desk           | walnut   | sage       | right front  | laptop lamp
wood-3     | wooden table   | ash      | pink       | left behind  | gifts flowers
cafe-2     | cafe at night  |          | wine       | right        | candle beans
studio-4   | pastel studio  | terrazzo | yellow     | front        | oranges spheres
marble-3   | marble counter |          | sage       | left front   | branch lemons
window-3   | window light   | blinds   | terracotta | left         | books -
paper-2    | paper window   | dark     | sage       | left front   | branch candle
water-2    | still water    |          | blue       | right        | stones -
shelf-2    | shop shelf     | walnut   | sage       | right front  | gifts books
snow-2     | snow           | dawn     | lavender   | left front   | gifts fir
beach-2    | beach          | sunset   | terracotta | left         | - shells
grass-2    | grass          | wood     | mint       | left front   | apples -
market-2   | market stall   | oak      | sage       | right        | bowl oranges
steps-2    | stone steps    |          | grey       | right        | fallen -
concrete-3 | concrete       |          | terracotta | right front  | fallen stones
studio-5   | pastel studio  |          | mint       | left         | plant stairs
dark-3     | dark studio    | podium   | lavender   | left front   | - -
wood-4     | wooden table   | dark     | navy       | left         | apples candle
linen-3    | draped cloth   |          | sage       | left behind  | grasses petals
window-4   | window light   | palm     | mint       | right        | - towels
marble-4   | marble counter | green    | cream      | right behind | gifts branch
studio-6   | pastel studio  | marble   | beige      | right behind | grasses blocks
bath-3     | bathroom shelf |          | blue       | right        | bottles flowers
kitchen-3  | kitchen        | color    | yellow     | left         | oranges bowl
desk-3     | desk           | oak      | yellow     | left front   | pencils plant
cafe-3     | cafe at night  |          | navy       | left         | books cup
paper-3    | paper window   | walnut   | pink       | right front  | flowers cup
shelf-3    | shop shelf     | ash      | blue       | left         | bottles plant
studio-7   | pastel studio  |          | terracotta | left behind  | arch grasses
wood-5     | wooden table   | cherry   | wine       | right        | grasses gifts
concrete-4 | concrete       | block    | blue       | left front   | blocks -
linen-4    | draped cloth   | checked  | navy       | left         | - candle
window-5   | window light   | leaves   | pink       | right        | flowers -
dark-4     | dark studio    | slab     | mint       | right        | stones -
marble-5   | marble counter |          | pink       | behind       | petals flowers
water-3    | still water    |          | pink       | left         | - petals
wood-6     | wooden table   | grey     | mint       | right behind | plant lemons
studio-8   | pastel studio  | square   | sage       | right front  | stones branch
snow-3     | snow           |          | wine       | right front  | - gifts
market-3   | market stall   | walnut   | yellow     | left         | crate lemons
grass-3    | grass          |          | yellow     | right        | flowers -
beach-3    | beach          |          | cream      | left front   | stones -
steps-3    | stone steps    |          | cream      | left         | - plant
bath-4     | bathroom shelf | terrazzo | sage       | left front   | plant towels
studio-11  | pastel studio  | leaves   | sage       | right        | spheres -
studio-12  | pastel studio  | panes    | terracotta | left         | - stones
concrete-5 | concrete       | leaves   | cream      | left front   | - -
marble-7   | marble counter | leaves   | cream      | right front  | branch -
beach-4    | beach          | palm     | blue       | left front   | - shells
linen-5    | draped cloth   |          | cream      | right front  | branch -
linen-6    | draped cloth   | checked  | blue       | left front   | - lemons
concrete-6 | concrete       | panes    | sage       | right        | - -
wood-12    | wooden table   | walnut   | terracotta | left         | branch -      | 35
linen-7    | draped cloth   |          | beige      | left front   | branch petals | 34
linen-8    | draped cloth   | checked  | sage       | right front  | bowl -        | 34
kitchen-4  | kitchen        | marble   | cream      | left         | lemons -      | 33
concrete-7 | concrete       |          | grey       | right front  | stones branch | 34
studio-13  | pastel studio  | palm     | pink       | left front   | - -           | 30
wood-10    | wooden table   | dark     | cream      | right front  | beans cup     | 34
desk-4     | desk           | oak      | sage       | right front  | pencils -     | 34
""")
