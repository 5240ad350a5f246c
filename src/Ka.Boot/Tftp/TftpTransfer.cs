using System.Globalization;

namespace Ka.Boot.Tftp;

/// <summary>
/// One file on its way to one client, without socket or clock: what to send first, after an acknowledgement and after silence.
/// Options: blksize (RFC 2348), timeout and tsize (2349), windowsize (7440).
/// </summary>
public sealed class TftpTransfer
{
    /// <summary>Largest block: an Ethernet frame less the IP, UDP and TFTP headers; larger ones would be fragmented, and firmware fails on fragments.</summary>
    public const int MaxBlockSize = 1468;

    /// <summary>Most blocks on their way at once; firmware has small buffers.</summary>
    public const int MaxWindow = 16;

    /// <summary>Times the same packets are sent again before the client is given up.</summary>
    public const int MaxRetries = 5;

    /// <summary>Times anything is sent again to an address that has not answered yet, so that nobody can be flooded through this server.</summary>
    public const int MaxRetriesBeforeAnswer = 2;

    private readonly TftpContent _file;
    private readonly byte[]? _optionAck;
    private long _acknowledged = -1;
    private long _sent;
    private int _retries;
    private bool _broken;

    private TftpTransfer(TftpContent file, int blockSize, int window, TimeSpan timeout, byte[]? optionAck)
    {
        (_file, BlockSize, Window, Timeout, _optionAck) = (file, blockSize, window, timeout, optionAck);
        _acknowledged = optionAck is null ? 0 : -1;
    }

    /// <summary>Bytes in a block: 512 unless negotiated.</summary>
    public int BlockSize { get; }

    /// <summary>Blocks sent before an acknowledgement is awaited: 1 unless negotiated.</summary>
    public int Window { get; }

    /// <summary>Silence after which packets are sent again: 1 s unless negotiated.</summary>
    public TimeSpan Timeout { get; }

    /// <summary>Whether the last block was acknowledged.</summary>
    public bool IsDone => _acknowledged == LastBlock;

    private long LastBlock => (_file.Length / BlockSize) + 1;

    /// <summary>Begins a transfer for a request in mode octet. Options that are not understood are left out, as RFC 2347 wants.</summary>
    public static TftpTransfer Begin(TftpContent file, TftpRequest request)
    {
        var granted = new List<(string, long)>();
        var blockSize = Grant("blksize", 8, 65464, MaxBlockSize) ?? 512;
        var window = Grant("windowsize", 1, 65535, MaxWindow) ?? 1;
        var timeout = Number("timeout") is >= 1 and <= 10 and var seconds ? seconds : 0;
        if (timeout > 0)
        {
            granted.Add(("timeout", timeout));
        }

        if (Number("tsize") is not null)
        {
            granted.Add(("tsize", file.Length));
        }

        var optionAck = granted.Count == 0 ? null : TftpPacket.OptionAckPacket(granted);
        return new(file, (int)blockSize, (int)window, TimeSpan.FromSeconds(timeout > 0 ? timeout : 1), optionAck);

        long? Number(string name) =>
            request.Options.TryGetValue(name, out var text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

        long? Grant(string name, long min, long max, long most)
        {
            if (Number(name) is not { } asked || asked < min || asked > max)
            {
                return null;
            }

            granted.Add((name, Math.Min(asked, most)));
            return Math.Min(asked, most);
        }
    }

    /// <summary>What to send first: the options, or the first block.</summary>
    public IReadOnlyList<byte[]> First() => _optionAck is not null ? [_optionAck] : NextWindow();

    /// <summary>
    /// What to send after an acknowledgement. One that is old (the same as before) is answered by nothing, so that a doubled packet
    /// does not double the rest of the transfer; silence will repeat the window.
    /// </summary>
    public IReadOnlyList<byte[]> Acknowledge(ushort block)
    {
        // The client counts modulo 65536; the block meant is the one inside the window.
        var inWindow = _acknowledged < 0 ? (block == 0 ? 0 : -1) : _acknowledged + (ushort)(block - (ushort)_acknowledged);
        if (inWindow <= _acknowledged || inWindow > Math.Max(_sent, 0))
        {
            return [];
        }

        (_acknowledged, _retries) = (inWindow, 0);
        return IsDone ? [] : NextWindow();
    }

    /// <summary>What to send again after silence; null when the client is given up.</summary>
    public IReadOnlyList<byte[]>? Silence()
    {
        var mostRetries = HasAnswered ? MaxRetries : MaxRetriesBeforeAnswer;
        return _broken || ++_retries > mostRetries ? null : _acknowledged < 0 ? First() : NextWindow();
    }

    private bool HasAnswered => _acknowledged > 0 || (_optionAck is not null && _acknowledged == 0);

    private List<byte[]> NextWindow()
    {
        var packets = new List<byte[]>();
        for (var block = _acknowledged + 1; block <= Math.Min(LastBlock, _acknowledged + Window); block++)
        {
            var offset = (block - 1) * BlockSize;
            var data = new byte[Math.Min(BlockSize, _file.Length - offset)];
            if (!_file.TryRead(offset, data))
            {
                _broken = true;
                return [TftpPacket.ErrorPacket(TftpError.AccessViolation, "the file cannot be read")];
            }

            packets.Add(TftpPacket.DataPacket((ushort)block, data));
        }

        _sent = _acknowledged + packets.Count;
        return packets;
    }
}
