# docs/img/survival.svg: how long a token lives under the variants of the policy `random`.
# Formulas and assumptions: docs/methods.md.   Run: gnuplot tools/survival.gp
set terminal svg size 900,340 font "sans-serif,12" background "#ffffff"
set output "docs/img/survival.svg"
r = 0.5        # retention_rate
layers = 30.0  # of SmolLM2-135M
heads = 3.0    # KV heads a layer
set xrange [1:8]
set yrange [0:1.02]
set xtics 1
set xlabel "events since the token's birth"
set grid lw 0.5 lc rgb "#dddddd"
set key top right samplen 2 spacing 1.1
set samples 8
event(k) = r**k
fixed(k) = r * (1 - r**k) / ((1 - r) * k)
set multiplot layout 1,2
set title "One cell of the first turn is still there"
plot event(x) with linespoints pt 7 ps 0.6 lw 2 lc rgb "#d55e00" title "redraw = event", \
     fixed(x) with linespoints pt 5 ps 0.6 lw 2 lc rgb "#0072b2" title "redraw = fixed"
set key at graph 0.45,0.78
set title "The token is still in at least one layer and head"
plot event(x) with linespoints pt 7 ps 0.6 lw 2 lc rgb "#d55e00" title "token", \
     1 - (1 - event(x))**layers with linespoints pt 5 ps 0.6 lw 2 lc rgb "#0072b2" title "layer", \
     1 - (1 - event(x))**(layers * heads) with linespoints pt 9 ps 0.7 lw 2 lc rgb "#009e73" title "head"
unset multiplot
