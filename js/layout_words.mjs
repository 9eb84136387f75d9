// The layout editor's words. Languages without a table read English.
const KOREAN = {
  Arrange: "배치하기",
  Undo: "되돌리기",
  Redo: "다시 하기",
  "All back to automatic": "모두 자동으로",
  "Back to automatic": "자동으로 되돌리기",
  Run: "실행",
  Done: "완료",
  "Product {0}": "상품 {0}",
  Product: "상품",
  Headline: "문구",
  Light: "빛",
  "Drag to move. Corners resize, the round handle rotates. Arrow keys move by a pixel, with Shift by ten.":
    "끌어서 옮기고, 모서리로 크기를, 둥근 손잡이로 각도를 바꿉니다. 화살표 키는 1픽셀, Shift와 함께는 10픽셀씩 옮깁니다.",
  "Click an item on the picture to change it.": "그림에서 바꿀 것을 눌러 고르세요.",
  "Run the workflow once: then there is a picture to arrange.": "워크플로를 한 번 실행하면 배치할 그림이 나타납니다.",
  "Running…": "실행 중…",
  "The run ended with an error. Close this window to read it.": "실행 중 오류가 났습니다. 이 창을 닫으면 오류를 볼 수 있습니다.",
  "Changed. Run draws the finished picture.": "바뀌었습니다. 실행하면 완성된 그림을 그립니다.",
  "As in the last run.": "마지막 실행 그대로입니다.",
  "Automatic: makes room at the next run.": "자동: 다음 실행 때 자리를 비켜 줍니다.",
  Size: "크기",
  Rotation: "회전",
  Flip: "좌우 뒤집기",
  "To the front": "맨 앞으로",
  "To the back": "맨 뒤로",
  Words: "글자",
  Weight: "굵기",
  automatic: "자동",
  Color: "글자색",
  "Automatic color": "색 자동",
  Align: "정렬",
  left: "왼쪽",
  center: "가운데",
  right: "오른쪽",
  "Contrast {0} : 1, easy to read": "대비 {0} : 1, 잘 읽힙니다",
  "Contrast {0} : 1, hard to read": "대비 {0} : 1, 읽기 어렵습니다",
  "Drag the sun: farther from the middle is a lower light with longer shadows. The shadow follows at the next run.":
    "해를 끌어 옮기세요. 가운데에서 멀수록 빛이 낮아 그림자가 길어집니다. 그림자는 다음 실행 때 바뀝니다.",
  "The light, seen from above: the product is in the middle.": "위에서 본 빛입니다. 가운데가 상품입니다.",
  Direction: "방향",
  Height: "높이",
  "Picture {0} of {1}": "그림 {1}장 중 {0}번째",
  "Next picture": "다음 그림",
  "Safe area: what lies outside may be covered or cut off.": "안전 영역: 바깥은 가려지거나 잘릴 수 있습니다.",
  "moved by hand": "직접 옮김",
  "This workflow has not run yet.": "이 워크플로를 아직 실행하지 않았습니다.",
  "The server does not answer: the words are shown as before.": "서버가 응답하지 않아 글자를 이전 모습으로 보여 줍니다.",
}

/** A function that gives a sentence in a language, with {0}, {1} filled in. */
export function wordsIn(language) {
  const table = String(language ?? "en").split("-")[0] === "ko" ? KOREAN : {}
  return (english, ...parts) => (table[english] ?? english).replace(/\{(\d)\}/g, (_, index) => String(parts[index]))
}
