# shellcheck shell=bash
# What the clips of scripts/seed show: scenes that ffmpeg draws. To be sourced.
#
# Each scene_NAME prints a graph of filters. It is made of layers, each drawn once, point by point, and moved
# over the others; a layer that repeats itself may be scrolled by one repetition for ever. What a layer covers is drawn
# at half of its size, or a quarter where it has no sharp edges: that is most of what a scene costs, and the square of
# the size.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

readonly SCENE_FPS=12

# sky SIZE COLOUR..: a gradient from top to bottom, the background of everything else.
sky() {
	local size=$1 n=0 colours=''
	shift
	for colour in "$@"; do colours+=":c$n=$colour" n=$((n + 1)); done
	printf '%s' "gradients=size=16x${size#*x}:rate=$SCENE_FPS:duration=0.06:seed=1:x0=0:y0=0:x1=0:y1=$((${size#*x} - 1)):nb_colors=$n$colours," \
		"scale=${size/x/:}:flags=neighbor,setsar=1,format=yuv420p,loop=-1:1:0,setpts=N/$SCENE_FPS/TB"
}

# layer NAME SIZE COLOUR COVER [DIVISOR]: one colour, as opaque at each point as COVER says, from 0 to 1, by X and Y.
layer() {
	local width=${2%x*} height=${2#*x} cover=$4 divisor=${5:-2}
	cover=${cover//X/($divisor*X)} cover=${cover//Y/($divisor*Y)}
	printf '%s' "color=$3:size=$2:rate=$SCENE_FPS:duration=0.06,format=yuv420p[colour_$1];" \
		"color=black:size=$((width / divisor))x$((height / divisor)):rate=$SCENE_FPS:duration=0.06,format=gray,geq=lum='255*clip($cover,0,1)',scale=$width:$height:flags=bicubic[cover_$1];" \
		"[colour_$1][cover_$1]alphamerge,loop=-1:1:0,setpts=N/$SCENE_FPS/TB[$1];"
}

# chance A B: a pseudo-random number from 0 to 1, always the same for A and B.
chance() { printf 'mod(abs(sin((%s)*12.9898+(%s)*78.233)*43758.5),1)' "$1" "$2"; }

disc() { printf '(%s)-hypot(X-(%s),Y-(%s))' "$3" "$1" "$2"; } # X Y RADIUS, with a soft edge

glow() { printf 'exp(-pow(hypot(X-(%s),Y-(%s))/(%s),2))' "$1" "$2" "$3"; } # X Y REACH

# flakes SIDE RADIUS SEED ROWS: a dot somewhere in every square of SIDE; the pattern repeats after
# ROWS squares.
flakes() {
	printf '%s' "st(0,floor(X/$1)+$3);st(1,mod(floor(Y/$1),$4));" \
		"$2*(0.4+0.6*$(chance 'ld(1)+3' 'ld(0)'))-hypot(mod(X,$1)-$1*(0.2+0.6*$(chance 'ld(0)' 'ld(1)')),mod(Y,$1)-$1*(0.2+0.6*$(chance 'ld(1)' 'ld(0)+7')))"
}

scene_sunset() {
	local glitter="exp(-pow((X-270)/(40+0.16*(Y-570)),2))*clip((sin(Y*0.5-WAVE)+sin(X/14+Y/5+WAVE)+sin(X/31-Y/11))*1.3-0.7,0,1)"
	layer far 540x960 0xff8a4c "0.85*$(glow 270 480 210)" 4
	layer sun 200x200 0xffe9b0 "$(disc 100 100 84)"
	layer sea 540x960 0x1c1f4a "(Y-568)/2"
	layer light 540x960 0xffc27a "gt(Y,570)*0.95*${glitter//WAVE/0}"
	layer spark 540x960 0xfff0c8 "gt(Y,570)*0.8*${glitter//WAVE/2.4}"
	layer boat 120x120 0x120f2b "max(min(min(60-X,92-Y),(Y-8)*0.62-(60-X)),max(min(min(X-64,92-Y),(Y-20)*0.62-(X-64)),min(min(Y-96,112-Y),50-abs(X-60)-(Y-96)*0.8)))"
	layer near 540x960 0x0b0a1f "Y-900+22*sin(X/61)+9*sin(X/23)"
	printf '%s' "$(sky 540x960 0x241a56 0x7a2f6b 0xe8623f 0xffb25a 0xffb25a)[sky];" \
		"[sky][far]overlay[a];[a][sun]overlay=x=170:y='392+12*t'[b];[b][sea]overlay[c];" \
		"[c][light]overlay=x='5*sin(2*PI*t/3)':y='4*sin(2*PI*t/2)'[d];[d][spark]overlay=x='-6*sin(2*PI*t/2)':y='5*cos(2*PI*t/3)'[e];" \
		"[e][boat]overlay=x='60+22*t':y='500+3*sin(2*PI*t/3)'[f];[f][near]overlay"
}

# The lights are soft, so they are drawn small.
scene_lights() {
	local ray="st(0,49+8*sin(X/9+2*PI*T/4)+4*sin(X/3.5-2*PI*T/4)-Y);"
	ray+="st(1,if(gt(ld(0),0),exp(-ld(0)/24),exp(ld(0)/3.5))*(0.75+0.25*sin(X*1.3+2*sin(2*PI*T/4+X/6))));"
	layer stars 540x960 white "lt(Y,620)*0.8*($(flakes 54 2.2 3 99))"
	layer hills 540x960 0x060a16 "Y-790+46*sin(X/88)+20*sin(X/35+1)"
	layer firs 540x960 0x02040a "Y-880-14*sin(X/70)+abs(mod(X,36)-18)*2.6*(1.2+sin(floor(X/36)*2.3))-30"
	printf '%s' "nullsrc=size=63x112:rate=$SCENE_FPS,geq=r='${ray}min(255,8+10*Y/112+110*ld(1)*max(0,ld(0))/42)':" \
		"g='${ray}min(255,14+30*Y/112+225*ld(1)*max(0.15,1-max(0,ld(0))/49))':b='${ray}min(255,40+26*Y/112+130*ld(1))'," \
		"scale=540:960:flags=bicubic,format=yuv420p[sky];[sky][stars]overlay[a];[a][hills]overlay[b];[b][firs]overlay"
}

scene_train() {
	local turn=$((4 * SCENE_FPS))
	layer far 960x540 0x8ea2cc "Y-262+38*abs(mod(X,480)-240)/240+26*sin(X*2*PI/240)+9*sin(X*2*PI/80)"
	layer hills 960x540 0x5c86a6 "Y-335+34*sin(X*2*PI/320)+12*sin(X*2*PI/160+1)"
	layer wood 960x540 0x2f6654 "Y-405+16*sin(X*2*PI/320)-abs(sin(X*2*PI/40))*14"
	layer field 960x540 0xd9b45a "Y-462+6*sin(X*2*PI/480)"
	layer poles 960x540 0x2a2430 "max(4-abs(mod(X,480)-240),min(2.5-abs(Y-150),46-abs(mod(X,480)-240)))+gt(Y,520)*9"
	printf '%s' "$(sky 960x540 0x7fb2ea 0xcfe3f2 0xffe3c2 0xffd9a8)[sky];" \
		"[far]scroll=h=1/$((2 * turn))[far1];[hills]scroll=h=1/$((3 * turn / 2))[hills1];[wood]scroll=h=1/$((3 * turn / 4))[wood1];" \
		"[field]scroll=h=1/$((turn / 2))[field1];[poles]scroll=h=1/$((turn / 4))[poles1];" \
		"[sky][far1]overlay[a];[a][hills1]overlay[b];[b][wood1]overlay[c];[c][field1]overlay[d];[d][poles1]overlay"
}

scene_rain() {
	local n warm=0 cold=0 red=0
	for n in 0 1 2 3 4; do
		warm="max($warm,0.75*clip($(disc $((40 + n * 117 % 500)) $((330 + n * 171 % 420)) $((34 + n * 9)))+4,0,8)/8)"
		cold="max($cold,0.6*clip($(disc $((90 + n * 173 % 470)) $((280 + n * 223 % 480)) $((26 + n * 10)))+4,0,8)/8)"
		red="max($red,0.7*clip($(disc $((150 + n * 211 % 400)) $((560 + n * 97 % 260)) $((22 + n * 7)))+4,0,8)/8)"
	done
	layer warm 540x960 0xffc46b "$warm" 4
	layer cold 540x960 0x6fb6ff "$cold" 4
	layer red 540x960 0xff5d5d "$red" 4
	layer streaks 540x960 0xcfe0ff "0.35*(1.4-abs(mod(X+23*$(chance 'floor(X/30)' 3),30)-15))*gt(mod(Y+480*$(chance 'floor(X/30)' 5),480),400)"
	layer drops 540x960 0xeaf2ff "0.55*gt($(chance 'floor(X/60)' 'floor(Y/60)'),0.55)*($(flakes 60 9 9 99))"
	printf '%s' "$(sky 540x960 0x0a1226 0x16243f 0x2a2440 0x0d1020)[sky];" \
		"[streaks]scroll=v=-1/${SCENE_FPS}[rain];[sky][warm]overlay=x='6*sin(2*PI*t/4)'[a];[a][cold]overlay=y='6*sin(2*PI*t/4)'[b];" \
		"[b][red]overlay=x='-5*sin(2*PI*t/2)'[c];[c][rain]overlay[d];[d][drops]overlay"
}

scene_city() {
	local house height window
	height() { printf '%s' "(960-$1*$(chance "floor(X/$2)" "$3")-$4)"; }
	house="Y-$(height 330 60 2 210)"
	window="gt($house,26)*(4-abs(mod(X,20)-10))*(5-abs(mod(Y,30)-15))/6*gt($(chance 'floor(X/20)' 'floor(Y/30)'),"
	layer moon 150x150 0xfff3cf "$(disc 75 75 62)-0.0"
	layer halo 540x960 0x9fb4ff "0.5*$(glow 395 190 190)" 4
	layer back 540x960 0x232a55 "Y-$(height 300 45 5 360)"
	layer front 540x960 0x0d1030 "$house"
	layer lit 540x960 0xffcf70 "${window}0.62)"
	layer late 540x960 0xffe9b8 "${window}0.50)*lt($(chance 'floor(X/20)' 'floor(Y/30)'),0.62)"
	printf '%s' "$(sky 540x960 0x0c1038 0x26265e 0x6a3f7c 0xd0717a)[sky];" \
		"[sky][halo]overlay[a];[a][moon]overlay=x=320:y=115[b];[b][back]overlay[c];[c][front]overlay[d];" \
		"[d][lit]overlay[e];[e][late]overlay=enable='lt(mod(t,2),1)'"
}

scene_snow() {
	local turn=$((4 * SCENE_FPS))
	layer hill 540x960 0xdfe8fb "Y-720+40*sin(X/120)+14*sin(X/47)"
	layer firs 540x960 0x1f3a4d "min(Y-560-70*$(chance 'floor(X/90)' 4)-abs(mod(X,90)-45)*4.2+mod(Y,46)*0.9,900-Y)"
	layer house 200x170 0x6b3b33 "max(min(min(Y-80,160-Y),70-abs(X-100)),min(Y-20-abs(X-100)*0.72,82-Y))"
	layer window 200x170 0xffd98a "max(min(14-abs(X-72),16-abs(Y-114)),min(14-abs(X-130),16-abs(Y-114)))"
	layer small 540x960 white "0.7*($(flakes 30 2.4 1 8))"
	layer middle 540x960 white "0.85*($(flakes 60 3.8 2 8))"
	layer large 540x960 white "$(flakes 120 6.5 5 4)"
	printf '%s' "$(sky 540x960 0x394b7d 0x7f8fc0 0xc9b9cf 0xe7d6d2)[sky];" \
		"[small]scroll=v=-1/$((4 * turn))[s1];[middle]scroll=v=-1/$((2 * turn))[s2];[large]scroll=v=-1/$((2 * turn))[s3];" \
		"[sky][firs]overlay[a];[a][s1]overlay[b];[b][hill]overlay[c];[c][house]overlay=x=210:y=620[d];[d][window]overlay=x=210:y=620[e];" \
		"[e][s2]overlay[f];[f][s3]overlay"
}

scene_lanterns() {
	local n graph='[sky][shore]overlay[l0]' copies=''
	layer shore 540x960 0x050714 "Y-880+18*sin(X/90)"
	layer halo 150x170 0xff8a2b "0.75*$(glow 75 85 46)"
	layer body 150x170 0xffc768 "min(min(Y-52,122-Y),(30-(Y-52)*0.1)-abs(X-75))/2*(0.75+0.25*sin(Y/9))"
	printf '%s' "$(sky 540x960 0x070b2a 0x131a4d 0x2c2a63 0x5a3a66)[sky];[halo][body]overlay,split=8"
	for n in 1 2 3 4 5 6 7 8; do copies+="[c$n]"; done
	printf '%s' "$copies;"
	for n in 1 2 3 4 5 6 7 8; do
		graph+=";[l$((n - 1))][c$n]overlay=x='$((n * 149 % 430 - 20))+14*sin(2*PI*t/5+$n)':y='960-mod(220*t+$((n * 137 % 1100)),1100)'"
		if ((n < 8)); then graph+="[l$n]"; fi
	done
	printf '%s' "$graph"
}

scene_record() {
	local angle='st(0,atan2(Y-270,X-270));st(1,hypot(X-270,Y-270));'
	layer disc 540x540 0x14141a "$(disc 270 270 236)"
	layer grooves 540x540 0x3b3b48 "${angle}between(ld(1),92,230)*(0.35+0.5*gt(sin(ld(1)*1.1),0.2))"
	layer label 540x540 0xe2503a "$(disc 270 270 84)"
	layer half 540x540 0xf6d9a0 "${angle}min(84-ld(1),ld(1)-58)*gt(sin(ld(0)),0)"
	layer mark 540x540 0xfff4dc "min(5-abs(X-270),min(Y-206,240-Y))"
	layer hole 540x540 0xf0e6d6 "$(disc 270 270 7)"
	layer shine 540x540 white "${angle}between(ld(1),90,232)*0.42*pow(abs(cos(ld(0)-0.8)),26)"
	layer arm 540x540 0xc9ccd6 "max($(disc 486 66 30),max(min(6-abs((X-486)*0.94+(Y-66)*0.34),min(Y-66,330-Y)),min(13-abs((X-486)*0.94+(Y-66)*0.34),min(Y-322,366-Y))))"
	printf '%s' "$(sky 540x540 0x3f7f7a 0x2b5a63)[wood];" \
		"[label][half]overlay[l1];[l1][mark]overlay[l2];[l2]rotate=a=2*PI*t/2:c=none[turning];" \
		"[wood][disc]overlay[a];[a][grooves]overlay[b];[b][turning]overlay[c];[c][hole]overlay[d];[d][shine]overlay[e];[e][arm]overlay"
}

scene_fish() {
	local n shape='max(1-pow((X-64)/46,2)-pow((Y-45)/26,2),min(30-X,(34-X)*0.9-abs(Y-45))/20)*9'
	layer sand 960x540 0xe6cf98 "Y-478+9*sin(X/70)"
	layer weed 960x540 0x1f8a6a "st(0,mod(X,192)-96-14*sin(Y/34+floor(X/192)));min(11-abs(ld(0)),Y-250-60*$(chance 'floor(X/192)' 2))*lt(Y,488)"
	layer bubbles 960x540 0xd8f4ff "0.55*clip(3-abs($(flakes 90 10 4 99)-3),0,1)"
	layer rays 960x540 white "0.16*clip(sin((X+Y*0.5)/60),0,1)*(1-Y/540)" 4
	for n in 1 2 3; do
		layer "fish$n" 120x90 "$(cut -d' ' -f"$n" <<<'0xff8a3c 0xffd24a 0xf0577a')" "$shape"
		layer "eye$n" 120x90 0x1b1b2b "$(disc 92 38 5)"
	done
	printf '%s' "$(sky 960x540 0x63d3e0 0x2a94bd 0x14508a)[sea];[fish1][eye1]overlay[f1];[fish2][eye2]overlay[f2];[fish3][eye3]overlay,hflip[f3];" \
		"[bubbles]scroll=v=1/$((7 * SCENE_FPS / 3))[b1];[sea][rays]overlay[a];[a][weed]overlay[b];[b][sand]overlay[c];" \
		"[c][f1]overlay=x='mod(160*t+200,1120)-130':y='150+24*sin(2*PI*t/3.5)'[d];" \
		"[d][f2]overlay=x='mod(160*t+780,1120)-130':y='330+18*cos(2*PI*t/3.5)'[e];" \
		"[e][f3]overlay=x='960-mod(160*t+500,1120)':y='245+20*sin(2*PI*t/7)'[f];[f][b1]overlay"
}

scene_clock() {
	local hand="st(0,hypot(X-270,Y-270));"
	layer rim 540x540 0x23242c "$(disc 270 270 232)"
	layer face 540x540 0xfbf6ea "$(disc 270 270 212)"
	layer ticks 540x540 0x23242c "${hand}st(1,mod(atan2(Y-270,X-270)+2*PI,PI/6));(3.2-ld(0)*min(ld(1),PI/6-ld(1)))*between(ld(0),168,200)"
	layer hours 540x540 0x23242c "min(8-abs(X-270),min(Y-150,290-Y))"
	layer minutes 540x540 0x23242c "min(5-abs(X-270),min(Y-90,300-Y))"
	layer seconds 540x540 0xe0402f "max(min(2.5-abs(X-270),min(Y-84,316-Y)),max($(disc 270 110 14),$(disc 270 270 10)))"
	printf '%s' "$(sky 540x540 0xf0b35a 0xd9734a)[wall];" \
		"[hours]trim=end_frame=1,rotate=a=-0.06:c=none[h];[minutes]trim=end_frame=1,rotate=a=-2*PI/60:c=none[m];" \
		"[seconds]rotate=a='2*PI*(50+floor(t)+0.08*exp(-18*mod(t,1))*cos(60*mod(t,1)))/60':c=none[s];" \
		"[wall][rim]overlay[a];[a][face]overlay[b];[b][ticks]overlay[c];[c][h]overlay[d];[d][m]overlay[e];[e][s]overlay"
}

scene_balloons() {
	local n bag='max(74-hypot(X-80,(Y-80)*0.96),min(min(Y-96,168-Y),(62-(Y-96)*0.62)-abs(X-80)))'
	layer clouds 540x960 white "st(0,mod(X,270));0.85*clip(max(max(30-hypot(ld(0)-60,(Y-250)*1.6),42-hypot(ld(0)-104,(Y-240)*1.5)),max(30-hypot(ld(0)-152,(Y-250)*1.7),26-hypot(ld(0)-200,(Y-570)*2)))/10,0,1)"
	layer far 540x960 0x7fb08a "Y-770+36*sin(X/80)+12*sin(X/33)"
	layer near 540x960 0x3d7f5e "Y-850+26*sin(X/110+2)"
	for n in 1 2 3; do
		layer "bag$n" 160x230 "$(cut -d' ' -f"$n" <<<'0xe8503a 0x3f6fd8 0xf2b134')" "$bag"
		layer "stripe$n" 160x230 0xfff3dc "min($bag,7-abs(mod(X-80+240-(X-80)*(1-sqrt(max(0.05,1-pow((Y-80)/82,2))))*0.2,40)-20))"
		layer "basket$n" 160x230 0x6b4a2f "max(min(14-abs(X-80),min(Y-194,220-Y)),min(1.2-abs(abs(X-80)-13),min(Y-160,200-Y)))"
	done
	for n in 1 2 3; do printf '%s' "[bag$n][stripe$n]overlay[u$n];[u$n][basket$n]overlay[o$n];"; done
	printf '%s' "[o2]scale=112:-2[o2s];[o3]scale=84:-2[o3s];$(sky 540x960 0x58a6ec 0xa9d6f5 0xfdeed2 0xffdcae)[sky];" \
		"[clouds]scroll=h=1/$((10 * SCENE_FPS))[moving];[sky][moving]overlay[a];[a][far]overlay[b];[b][o3s]overlay=x='60+8*sin(2*PI*t/5)':y='520+14*sin(2*PI*t/5+2)'[c];" \
		"[c][o2s]overlay=x='360+10*sin(2*PI*t/5)':y='330+22*sin(2*PI*t/5)'[d];[d][near]overlay[e];[e][o1]overlay=x='150+16*sin(2*PI*t/5)':y='400+30*sin(2*PI*t/5+1)'"
}

scene_boat() {
	local turn=$((3 * SCENE_FPS))
	layer sun 160x160 0xfff1c4 "$(disc 80 80 62)"
	layer w1 960x540 0x69b7d6 "Y-300+12*sin(X*2*PI/240)"
	layer w2 960x540 0x3f93bf "Y-350+14*sin(X*2*PI/320+1)"
	layer w3 960x540 0x276f9f "Y-410+16*sin(X*2*PI/480+2)"
	layer w4 960x540 0x164f7c "Y-475+12*sin(X*2*PI/320+3)"
	layer hull 200x220 0x8a3b2c "min(min(Y-165,205-Y),84-abs(X-100)-(Y-165)*0.8)"
	layer sail 200x220 0xfff7ea "max(min(min(96-X,156-Y),(Y-24)*0.56-(96-X)),min(min(X-104,156-Y),(Y-50)*0.5-(X-104)))"
	layer mast 200x220 0x4b2f25 "min(3-abs(X-100),min(Y-12,168-Y))"
	printf '%s' "$(sky 960x540 0x8fd0f2 0xd6eefa 0xfff0cf)[sky];[hull][sail]overlay[h1];[h1][mast]overlay,rotate=a='0.07*sin(2*PI*t/3)':c=none[boat];" \
		"[w1]scroll=h=1/$((4 * turn))[v1];[w2]scroll=h=-1/$((3 * turn))[v2];[w3]scroll=h=1/$((2 * turn))[v3];[w4]scroll=h=-1/$((3 * turn))[v4];" \
		"[sky][sun]overlay=x=690:y=60[a];[a][v1]overlay[b];[b][v2]overlay[c];[c][boat]overlay=x=360:y='198+8*sin(2*PI*t/1.5)'[d];[d][v3]overlay[e];[e][v4]overlay"
}
