using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Ka.Boot.Dhcp;

/// <summary>Who is asking, as far as its DHCP options tell.</summary>
public enum BootFirmware
{
    /// <summary>No network boot: an operating system asks for its address.</summary>
    None,

    /// <summary>iPXE, which takes a script by HTTP.</summary>
    Ipxe,

    /// <summary>BIOS PXE (architecture 0).</summary>
    BiosPxe,

    /// <summary>UEFI PXE on x86-64 (architectures 7 and 9).</summary>
    UefiPxe,

    /// <summary>UEFI HTTP boot on x86-64 (architectures 15 and 16).</summary>
    UefiHttp,

    /// <summary>Firmware of another architecture.</summary>
    Other,
}

/// <summary>Tells firmware apart: iPXE by user class (RFC 3004) or option 175, others by option 93 (RFC 4578) or by their vendor class.</summary>
public static class FirmwareOf
{
    /// <summary>The firmware that sent the message.</summary>
    public static BootFirmware Sender(DhcpMessage message)
    {
        if (message.Option(DhcpOption.IpxeEncapsulated) is not null || UserClasses(message).Contains("iPXE"))
        {
            return BootFirmware.Ipxe;
        }

        var vendor = message.Text(DhcpOption.VendorClass) ?? "";
        var isBooting = vendor.StartsWith("PXEClient", StringComparison.Ordinal) || vendor.StartsWith("HTTPClient", StringComparison.Ordinal);
        return !isBooting ? BootFirmware.None : Architecture(message, vendor) switch
        {
            0 => BootFirmware.BiosPxe,
            7 or 9 => BootFirmware.UefiPxe,
            15 or 16 => BootFirmware.UefiHttp,
            _ => BootFirmware.Other,
        };
    }

    private static int Architecture(DhcpMessage message, string vendor)
    {
        if (message.Option(DhcpOption.ClientArchitecture) is { Length: >= 2 } bytes)
        {
            return BinaryPrimitives.ReadUInt16BigEndian(bytes);
        }

        // PXEClient:Arch:00007:UNDI:003001
        var parts = vendor.Split(':');
        return parts is [_, "Arch", var number, ..] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var code) ? code : -1;
    }

    /// <summary>RFC 3004 puts a length before each class; iPXE and others send one class bare.</summary>
    private static IEnumerable<string> UserClasses(DhcpMessage message)
    {
        if (message.Option(DhcpOption.UserClass) is not { } bytes)
        {
            yield break;
        }

        yield return Encoding.ASCII.GetString(bytes);
        for (var at = 0; at < bytes.Length && at + 1 + bytes[at] <= bytes.Length; at += 1 + bytes[at])
        {
            yield return Encoding.ASCII.GetString(bytes, at + 1, bytes[at]);
        }
    }
}
