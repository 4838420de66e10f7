#include "textflag.h"

// Two messages go through the rounds in turn, four rounds each: while one waits
// for the result of a SHA256RNDS2, the processor works on the other.
//
// Of each message, S0 and S1 are the state as the instructions want it, ABEF and
// CDGH, and M0 to M3 are the last 16 words of the message schedule. X0 is the
// operand that SHA256RNDS2 does not name.

#define ORDER X13 // of bytes: words of a message are big-endian
#define TMP X14

// LOAD turns the eight words at h into a state.
#define LOAD(h, S0, S1) \
	MOVOU   (h), TMP        \
	MOVOU   16(h), S1       \
	PSHUFD  $0xB1, TMP, TMP \
	PSHUFD  $0x1B, S1, S1   \
	MOVO    TMP, S0         \
	PALIGNR $8, S1, S0      \
	PBLENDW $0xF0, TMP, S1

// STORE turns a state into eight words at h.
#define STORE(h, S0, S1) \
	PSHUFD  $0x1B, S0, TMP \
	PSHUFD  $0xB1, S1, S1  \
	MOVO    TMP, S0        \
	PBLENDW $0xF0, S1, S0  \
	PALIGNR $8, TMP, S1    \
	MOVOU   S0, (h)        \
	MOVOU   S1, 16(h)

// FOUR does four rounds with the words M and the constants at k.
#define FOUR(k, S0, S1, M) \
	MOVO        M, X0        \
	PADDD       (k*16)(AX), X0 \
	SHA256RNDS2 X0, S0, S1   \
	PSHUFD      $0x0E, X0, X0 \
	SHA256RNDS2 X0, S1, S0

// READ takes the next four words of a message.
#define READ(i, p, M) \
	MOVOU  (i*16)(p), M \
	PSHUFB ORDER, M

// NEXT finishes the words N, which MSG1 has begun, of the words before them: L
// the last four, B the four before those.
#define NEXT(B, L, N) \
	MOVO       L, TMP    \
	PALIGNR    $4, B, TMP \
	PADDD      TMP, N    \
	SHA256MSG2 L, N

// func block2(a, b *[8]uint32, p, q *byte, blocks int)
TEXT ·block2(SB), NOSPLIT, $64-40
	MOVQ  a+0(FP), R8
	MOVQ  b+8(FP), R9
	MOVQ  p+16(FP), SI
	MOVQ  q+24(FP), DI
	MOVQ  blocks+32(FP), DX
	LEAQ  constants<>(SB), AX
	MOVOU order<>(SB), ORDER
	LOAD(R8, X1, X2)
	LOAD(R9, X7, X8)

block:
	MOVOU X1, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X7, 32(SP)
	MOVOU X8, 48(SP)


	// rounds 0 to 3
	READ(0, SI, X3)
	FOUR(0, X1, X2, X3)
	READ(0, DI, X9)
	FOUR(0, X7, X8, X9)

	// rounds 4 to 7
	READ(1, SI, X4)
	FOUR(1, X1, X2, X4)
	SHA256MSG1 X4, X3
	READ(1, DI, X10)
	FOUR(1, X7, X8, X10)
	SHA256MSG1 X10, X9

	// rounds 8 to 11
	READ(2, SI, X5)
	FOUR(2, X1, X2, X5)
	SHA256MSG1 X5, X4
	READ(2, DI, X11)
	FOUR(2, X7, X8, X11)
	SHA256MSG1 X11, X10

	// rounds 12 to 15
	READ(3, SI, X6)
	FOUR(3, X1, X2, X6)
	NEXT(X5, X6, X3)
	SHA256MSG1 X6, X5
	READ(3, DI, X12)
	FOUR(3, X7, X8, X12)
	NEXT(X11, X12, X9)
	SHA256MSG1 X12, X11

	// rounds 16 to 19
	FOUR(4, X1, X2, X3)
	NEXT(X6, X3, X4)
	SHA256MSG1 X3, X6
	FOUR(4, X7, X8, X9)
	NEXT(X12, X9, X10)
	SHA256MSG1 X9, X12

	// rounds 20 to 23
	FOUR(5, X1, X2, X4)
	NEXT(X3, X4, X5)
	SHA256MSG1 X4, X3
	FOUR(5, X7, X8, X10)
	NEXT(X9, X10, X11)
	SHA256MSG1 X10, X9

	// rounds 24 to 27
	FOUR(6, X1, X2, X5)
	NEXT(X4, X5, X6)
	SHA256MSG1 X5, X4
	FOUR(6, X7, X8, X11)
	NEXT(X10, X11, X12)
	SHA256MSG1 X11, X10

	// rounds 28 to 31
	FOUR(7, X1, X2, X6)
	NEXT(X5, X6, X3)
	SHA256MSG1 X6, X5
	FOUR(7, X7, X8, X12)
	NEXT(X11, X12, X9)
	SHA256MSG1 X12, X11

	// rounds 32 to 35
	FOUR(8, X1, X2, X3)
	NEXT(X6, X3, X4)
	SHA256MSG1 X3, X6
	FOUR(8, X7, X8, X9)
	NEXT(X12, X9, X10)
	SHA256MSG1 X9, X12

	// rounds 36 to 39
	FOUR(9, X1, X2, X4)
	NEXT(X3, X4, X5)
	SHA256MSG1 X4, X3
	FOUR(9, X7, X8, X10)
	NEXT(X9, X10, X11)
	SHA256MSG1 X10, X9

	// rounds 40 to 43
	FOUR(10, X1, X2, X5)
	NEXT(X4, X5, X6)
	SHA256MSG1 X5, X4
	FOUR(10, X7, X8, X11)
	NEXT(X10, X11, X12)
	SHA256MSG1 X11, X10

	// rounds 44 to 47
	FOUR(11, X1, X2, X6)
	NEXT(X5, X6, X3)
	SHA256MSG1 X6, X5
	FOUR(11, X7, X8, X12)
	NEXT(X11, X12, X9)
	SHA256MSG1 X12, X11

	// rounds 48 to 51
	FOUR(12, X1, X2, X3)
	NEXT(X6, X3, X4)
	SHA256MSG1 X3, X6
	FOUR(12, X7, X8, X9)
	NEXT(X12, X9, X10)
	SHA256MSG1 X9, X12

	// rounds 52 to 55
	FOUR(13, X1, X2, X4)
	NEXT(X3, X4, X5)
	FOUR(13, X7, X8, X10)
	NEXT(X9, X10, X11)

	// rounds 56 to 59
	FOUR(14, X1, X2, X5)
	NEXT(X4, X5, X6)
	FOUR(14, X7, X8, X11)
	NEXT(X10, X11, X12)

	// rounds 60 to 63
	FOUR(15, X1, X2, X6)
	FOUR(15, X7, X8, X12)

	MOVOU 0(SP), TMP
	PADDD TMP, X1
	MOVOU 16(SP), TMP
	PADDD TMP, X2
	MOVOU 32(SP), TMP
	PADDD TMP, X7
	MOVOU 48(SP), TMP
	PADDD TMP, X8
	ADDQ  $64, SI
	ADDQ  $64, DI
	DECQ  DX
	JNZ   block

	STORE(R8, X1, X2)
	STORE(R9, X7, X8)
	RET

// func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL subleaf+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

DATA order<>+0(SB)/8, $0x0405060700010203
DATA order<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL order<>(SB), RODATA|NOPTR, $16

// The constants of FIPS 180-4, 4.2.2.
DATA constants<>+0(SB)/8, $0x71374491428a2f98
DATA constants<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA constants<>+16(SB)/8, $0x59f111f13956c25b
DATA constants<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA constants<>+32(SB)/8, $0x12835b01d807aa98
DATA constants<>+40(SB)/8, $0x550c7dc3243185be
DATA constants<>+48(SB)/8, $0x80deb1fe72be5d74
DATA constants<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA constants<>+64(SB)/8, $0xefbe4786e49b69c1
DATA constants<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA constants<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA constants<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA constants<>+96(SB)/8, $0xa831c66d983e5152
DATA constants<>+104(SB)/8, $0xbf597fc7b00327c8
DATA constants<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA constants<>+120(SB)/8, $0x1429296706ca6351
DATA constants<>+128(SB)/8, $0x2e1b213827b70a85
DATA constants<>+136(SB)/8, $0x53380d134d2c6dfc
DATA constants<>+144(SB)/8, $0x766a0abb650a7354
DATA constants<>+152(SB)/8, $0x92722c8581c2c92e
DATA constants<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA constants<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA constants<>+176(SB)/8, $0xd6990624d192e819
DATA constants<>+184(SB)/8, $0x106aa070f40e3585
DATA constants<>+192(SB)/8, $0x1e376c0819a4c116
DATA constants<>+200(SB)/8, $0x34b0bcb52748774c
DATA constants<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA constants<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA constants<>+224(SB)/8, $0x78a5636f748f82ee
DATA constants<>+232(SB)/8, $0x8cc7020884c87814
DATA constants<>+240(SB)/8, $0xa4506ceb90befffa
DATA constants<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL constants<>(SB), RODATA|NOPTR, $256
