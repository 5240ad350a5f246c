using System.Buffers.Binary;

namespace Ka.SystemTests.Boot;

/// <summary>
/// Programs of a few bytes that tell over the serial line what a boot loader did: a kernel in Linux's boot format that writes its command
/// line between STX and ETX, and a boot sector that writes EOT. Then they stop the processor.
/// </summary>
internal static class TinyKernel
{
    public const char CommandLineBegins = '\u0002';
    public const char CommandLineEnds = '\u0003';
    public const char DiskBooted = '\u0004';

    public static byte[] Image()
    {
        var image = new byte[(5 * 512) + 4096];
        image[0x1f1] = 4;                                                       // setup_sects
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x1fe), 0xaa55);  // boot_flag
        (image[0x200], image[0x201]) = (0xeb, 0x7e);                            // jump to 0x280
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x206), 0x0203);  // boot protocol
        image[0x211] = 1;                                                       // loaded high
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x214), 0x100000);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x22c), 0x37ffffff); // initrd_addr_max
        byte[] code =
        [
            0xfa,                   // cli
            0xba, 0xf8, 0x03,       // mov dx, 0x3f8
            0xb0, 0x02, 0xee,       // mov al, STX; out dx, al
            0x66, 0xa1, 0x28, 0x02, // mov eax, [cmd_line_ptr]
            0x66, 0xc1, 0xe8, 0x04, // shr eax, 4
            0x8e, 0xc0,             // mov es, ax
            0x8b, 0x36, 0x28, 0x02, // mov si, [cmd_line_ptr]
            0x83, 0xe6, 0x0f,       // and si, 15
            0x26, 0x8a, 0x04,       // next: mov al, es:[si]
            0x08, 0xc0,             // or al, al
            0x74, 0x04,             // jz end
            0xee, 0x46,             // out dx, al; inc si
            0xeb, 0xf5,             // jmp next
            0xb0, 0x03, 0xee,       // end: mov al, ETX; out dx, al
            0xf4, 0xeb, 0xfd,       // hlt, for ever
        ];
        code.CopyTo(image, 0x280);
        return image;
    }

    public static byte[] Disk()
    {
        var disk = new byte[1024 * 1024];
        byte[] code = [0xfa, 0xba, 0xf8, 0x03, 0xb0, 0x04, 0xee, 0xf4, 0xeb, 0xfd];
        code.CopyTo(disk, 0);
        (disk[510], disk[511]) = (0x55, 0xaa);
        return disk;
    }
}
