# Rows "model layout link part predicted measured" -> a table by case, and what it comes to.
# Waiting for the slowest is part of communication: a rank cannot tell one from the other exactly.
# The step is all parts, also those that plan does not predict (reading data, bookkeeping).
function ms(s) { return sprintf("%.1f", s * 1000) }
function cell(p, m) {
    return sprintf("%s %s %s", ms(p), ms(m), m > 0 ? sprintf("%+.0f%%", 100 * (p / m - 1)) : "-")
}
function count(p, m,   e) {
    e = p / m - 1
    if (e < 0) e = -e
    error[++errors] = e
}
{
    name = $1 " " $2 " " $3
    if (!(name in seen)) { seen[name] = 1; names[++cases] = name }
    part = $4 == "slowest" ? "communication" : $4
    p[name, part] += $5; m[name, part] += $6
    p[name, "step"] += $5; m[name, "step"] += $6
}
END {
    n = split("products attention memory optimizer communication step", parts, " ")
    printf("%-5s %-5s %-6s", "model", "hosts", "link")
    for (i = 1; i <= n; i++) printf(" %20s", parts[i])
    printf("\n%-18s", "ms")
    for (i = 1; i <= n; i++) printf(" %20s", "plan took off")
    printf("\n")
    for (c = 1; c <= cases; c++) {
        split(names[c], w, " ")
        printf("%-5s %-5s %-6s", w[1], w[2], w[3])
        for (i = 1; i <= n; i++) {
            printf(" %20s", cell(p[names[c], parts[i]], m[names[c], parts[i]]))
            count(p[names[c], parts[i]], m[names[c], parts[i]])
        }
        printf("\n")
    }
    for (i = 1; i <= errors; i++)
        for (k = i + 1; k <= errors; k++)
            if (error[k] < error[i]) { t = error[i]; error[i] = error[k]; error[k] = t }
    middle = (error[int((errors + 1) / 2)] + error[int(errors / 2) + 1]) / 2
    if (errors)
        printf("%d parts: median error %.1f %%, worst %.1f %%\n", errors, 100 * middle,
               100 * error[errors])
}
