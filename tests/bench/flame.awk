# A flame graph as SVG, from the text of `perf script`: a box for each function, above the one that called it, as wide as its
# share of the samples. Point at one to read it.
function width_of(path) { return samples[path] * WIDTH / total }
function escaped(text) { gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); return text }
function colour(name,    hash, i) {
    hash = 7
    for (i = 1; i <= length(name); i++)
        hash = (hash * 31 + index(LETTERS, substr(name, i, 1))) % 997
    return sprintf("rgb(%d,%d,%d)", 205 + hash % 50, 90 + int(hash / 3) % 120, int(hash / 7) % 60)
}
function sort(list, n,    i, k, name) {
    for (i = 2; i <= n; i++) {
        name = list[i]
        for (k = i - 1; k >= 1 && list[k] > name; k--)
            list[k + 1] = list[k]
        list[k + 1] = name
    }
}
# The children of a path stand side by side, in the order of their names.
function draw(path, x, depth,    n, i, list, child, name, w) {
    if (depth > deepest)
        deepest = depth
    n = split(children[path], list, SUBSEP)
    sort(list, n - 1)
    for (i = 1; i < n; i++) {
        child = path SUBSEP list[i]
        w = width_of(child)
        if (w >= 0.4) {
            name = list[i]
            boxes = boxes sprintf("<g><title>%s: %.2f %% (%d samples)</title><rect x=\"%.1f\" y=\"@%d@\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", \
                                  escaped(name), 100 * samples[child] / total, samples[child], x, depth, w, ROW - 1, colour(name))
            if (w > 30)
                boxes = boxes sprintf("<text x=\"%.1f\" y=\"#%d#\">%s</text>", x + 2, depth, escaped(substr(name, 1, int(w / 6.6))))
            boxes = boxes "</g>\n"
            draw(child, x, depth + 1)
        }
        x += w
    }
}
function add_stack(    i, path, child) {
    if (frames == 0)
        return
    total++
    path = ""
    for (i = frames; i >= 1; i--) {
        child = path SUBSEP stack[i]
        if (!(child in samples))
            children[path] = children[path] stack[i] SUBSEP
        samples[child]++
        path = child
    }
    frames = 0
}
BEGIN {
    WIDTH = 1400
    ROW = 17
    LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
}
/^[^ \t]/ { add_stack(); next }
/^[ \t]+[0-9a-f]+ / { sub(/\+0x[0-9a-f]+$/, "", $2); stack[++frames] = $2 }
END {
    add_stack()
    if (total == 0) {
        print "flame: no samples" >"/dev/stderr"
        exit 1
    }
    draw("", 0, 0)
    height = (deepest + 3) * ROW
    for (depth = 0; depth <= deepest; depth++) {
        y = height - (depth + 1) * ROW
        gsub("@" depth "@", y, boxes)
        gsub("#" depth "#", y + 12, boxes)
    }
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"monospace\" font-size=\"11\">\n", WIDTH, height
    printf "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/><text x=\"4\" y=\"14\" font-size=\"13\">%s: %d samples</text>\n", escaped(title), total
    printf "%s</svg>\n", boxes
}
